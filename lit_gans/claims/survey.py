"""The techniques of the survey (Manisha & Gujar 2018) on games small enough to see what they do.

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import Claim, at_end, column_of, lower

PLAIN = "alternating"
AMPLITUDE = {
    "amplitude": column_of(
        "dirac_portrait", "dirac/amplitude", "amplitude of θ over the last looks, at the end", at_end
    )
}


def _on_dirac(statement: str, source: str, run: str, variant: str) -> Claim:
    """A technique that brings the Dirac GAN to rest, where alternating steps circle."""
    return Claim(
        statement=statement,
        source=source,
        base="dirac",
        runs={PLAIN: (), run: (variant,)},
        measures=AMPLITUDE,
        relations={
            f"{PLAIN}: does not come to rest, above 0.5": lambda n: bool((n["amplitude"][PLAIN] > 0.5).all()),
            f"{run}: comes to rest, below 0.1, for every seed": lambda n: bool((n["amplitude"][run] < 0.1).all()),
        },
    )


SURVEY = {
    "SV-G2": Claim(
        statement="Simultaneous steps do not bring the Dirac GAN to rest: it goes round further out than with "
        "alternating ones.",
        source="Manisha & Gujar 2018, section 2.2.3",
        base="dirac",
        runs={PLAIN: (), "simultaneous": ("simultaneous",)},
        measures=AMPLITUDE,
        relations={"alternating: lower": lower("amplitude", PLAIN, "simultaneous")},
    ),
    "SV-G4": _on_dirac(
        "Unrolling brings the Dirac GAN to rest.", "Manisha & Gujar 2018, section 3.1", "unrolled", "unrolled"
    ),
    "SV-G5": _on_dirac(
        "Consensus optimisation brings the Dirac GAN to rest.",
        "Manisha & Gujar 2018, section 3.2",
        "consensus",
        "consensus",
    ),
    "SV-G6": _on_dirac(
        "Nagarajan and Kolter's term brings the Dirac GAN to rest.",
        "Manisha & Gujar 2018, section 3.2",
        "Nagarajan-Kolter",
        "nagarajan_kolter",
    ),
}
