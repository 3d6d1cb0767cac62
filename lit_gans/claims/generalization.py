"""The claims of the reproducibility report on 0-GP, *Improving generalization and stability* (Li, Li & Zhou).

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import Claim, at, at_end, column_of, lower

_OTHERS = ("no penalty", "no penalty, ten times the data", "WGAN-GP", "0-GP-sample")

GENERALIZATION = {
    "RC-1": Claim(
        statement="D of two fixed sets is nearest to the optimal one and smoothest with 0-GP, worst without a penalty "
        "and no better with more data; 0-GP-sample and 1-GP help less.",
        source="Li, Li & Zhou, section IV-B and fig. 2; 1-GP is WGAN-GP, λ = 10, whose critic is no probability and is "
        "compared after the best monotone fit; λ of the zero-centred ones is ours, 0.1",
        base="gaussian_pair_fixed",
        runs={
            "no penalty": (),
            "no penalty, ten times the data": ("more_data",),
            "WGAN-GP": ("wgan_gp",),
            "0-GP-sample": ("zero_gp_sample_weak",),
            "0-GP": ("zero_gp_weak",),
        },
        measures={
            "distance": column_of(
                "value_surface",
                "surface/distance_monotone",
                "distance to the optimal D after the best monotone fit, 10 000 iterations",
                at_end,
            ),
            "early": column_of("value_surface", "surface/distance_monotone", "the same, 2 000 iterations", at(2000)),
            "roughness": column_of(
                "value_surface",
                "surface/relative_roughness",
                "roughness of D, relative to its standard deviation, at the end",
                at_end,
            ),
        },
        relations={
            **{f"0-GP: nearer to the optimal D than {run}": lower("distance", "0-GP", run) for run in _OTHERS},
            **{f"0-GP: smoother than {run}": lower("roughness", "0-GP", run) for run in _OTHERS},
            "no penalty: farther from the optimal D than 0-GP-sample": lower("distance", "0-GP-sample", "no penalty"),
            "no penalty: no nearer with ten times the data": lambda n: (
                n["distance"]["no penalty, ten times the data"].mean() >= n["distance"]["no penalty"].mean()
            ),
        },
    ),
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
