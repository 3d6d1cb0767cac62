"""The claims of the reproducibility report on 0-GP, *Improving generalization and stability* (Li, Li & Zhou).

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import Claim, at, column_of

GENERALIZATION = {
    "RC-4": Claim(
        statement="Without a penalty D's gradient grows as the fakes approach the reals; with 0-GP it does not.",
        source="Li, Li & Zhou, eq. 7 and section III-A",
        base="ring",
        runs={"Adam": ("adam", "probes"), "0-GP, Adam": ("zero_gp", "adam", "probes")},
        measures={
            "growth": column_of(
                "gradient_path",
                "path/growth",
                "slope of log gradient against log distance, first 5 000 iterations (explosion: -1, no growth: 0)",
                at(5000),
            )
        },
        relations={
            "Adam: below -0.3 for every seed": lambda n: bool((n["growth"]["Adam"] < -0.3).all()),
            "0-GP: not below 0 for any seed": lambda n: bool((n["growth"]["0-GP, Adam"] >= 0).all()),
        },
    ),
}
