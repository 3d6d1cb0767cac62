"""The techniques of the survey (Manisha & Gujar 2018) on games small enough to see what they do.

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import MODES_OF_SECOND_HALF, Claim, Relation, at, at_end, column_of, lower, second_half

PLAIN = "alternating"
GAN = "non-saturating"
AMPLITUDE = {
    "amplitude": column_of(
        "dirac_portrait", "dirac/amplitude", "amplitude of θ over the last looks, at the end", at_end
    )
}

MODES = {"modes": MODES_OF_SECOND_HALF}
GRADIENT = {
    "gradient": column_of(
        "metrics",
        "g/gradient_norm",
        "length of G's gradient at the end, over that at iteration 200",
        lambda iterations, values: values[-1] / at(200)(iterations, values),
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


def _on_ring(
    statement: str,
    source: str,
    run: str,
    variants: tuple[str, ...],
    without: str = GAN,
    setting: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    by: float = 1.0,
) -> Claim:
    """A technique with which G covers more modes of the ring than without, in one setting.

    Args:
        statement: What the paper says.
        source: Where.
        run: The technique's name.
        variants: What turns it on.
        without: What it is held against.
        setting: Variants of both runs.
        before: Variants of the run that it is held against.
        by: How many modes more it must be.
    """
    return Claim(
        statement=statement,
        source=source,
        base="ring",
        runs={without: (*setting, *before), run: (*setting, *variants)},
        measures=MODES,
        relations={f"{run}: more modes than {without}, by {by:g}": lower("modes", without, run, by)},
    )


def _against_a_trained_discriminator(statement: str, source: str, without: str, run: str, *variants: str) -> Claim:
    """A technique that keeps G's gradient alive, where D learns to tell a G that stands still."""
    setting = ("adam", "frozen_generator")
    return Claim(
        statement=statement,
        source=source,
        base="ring",
        runs={without: (*setting, without.lower()), run: (*setting, *variants)},
        measures=GRADIENT,
        relations={
            f"{without}: the gradient vanishes, below 0.01 for every seed": _every("gradient", without, 0.0, 0.01),
            f"{run}: it does not, above 0.1 for every seed": _every("gradient", run, 0.1),
        },
    )


def _every(measure: str, run: str, low: float, high: float = float("inf")) -> Relation:
    return lambda n: bool(((n[measure][run] > low) & (n[measure][run] < high)).all())


SURVEY = {
    "SV-L6": Claim(
        statement="Divergences differ where G cannot make the data: the Kullback-Leibler divergence covers all modes, "
        "the reverse one leaves some out and keeps to where the data are.",
        source="Manisha & Gujar 2018, sections 2.1 and 3.2; Nowozin et al. 2016",
        base="ring",
        runs={
            "reverse KL": ("adam", "broad_modes", "linear_generator", "reverse_kl"),
            "KL": ("adam", "broad_modes", "linear_generator", "kl"),
        },
        measures={
            **MODES,
            "good": column_of(
                "mode_coverage",
                "modes/high_quality",
                "share of samples within 3 standard deviations of a mode, mean over second half",
                second_half,
            ),
        },
        relations={
            "KL: more modes than reverse KL, by 0.5": lower("modes", "reverse KL", "KL", 0.5),
            "reverse KL: more good samples than KL": lower("good", "KL", "reverse KL"),
        },
    ),
    "SV-L7": _on_ring(
        "With an energy in place of a logit the game is stable where the plain one is not.",
        "Manisha & Gujar 2018, section 3.1; Zhao et al. 2017",
        "energy based",
        ("energy_based",),
        setting=("sgd_unstable",),
    ),
    "SV-L8": _against_a_trained_discriminator(
        "The loss-sensitive objective gives G a gradient where D is sure.",
        "Manisha & Gujar 2018, table 2",
        "Minimax",
        "loss-sensitive",
        "loss_sensitive",
    ),
    "SV-P9": _on_ring(
        "The regulariser that noise induces makes an unstable game stable.",
        "Manisha & Gujar 2018, section 3.2; Roth et al. 2017",
        "Roth",
        ("roth",),
        setting=("sgd_unstable",),
    ),
    "SV-P10": Claim(
        statement="With clipped weights the critic can be trained to the end without losing G's gradient; without a "
        "constraint there is no end, and the gradient grows.",
        source="Manisha & Gujar 2018, section 3.3; Arjovsky et al. 2017",
        base="ring",
        runs={
            "Wasserstein": ("adam", "frozen_generator", "wasserstein"),
            "clipped": ("adam", "frozen_generator", "wasserstein", "weight_clipping"),
        },
        measures=GRADIENT,
        relations={
            "Wasserstein: the gradient grows, above 20 for every seed": _every("gradient", "Wasserstein", 20.0),
            "clipped: it settles, within 0.1 and 10 for every seed": _every("gradient", "clipped", 0.1, 10.0),
        },
    ),
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
    "SV-G4-ring": _on_ring(
        "Unrolling raises the modes that G covers, where it runs ahead of D and collapses.",
        "Manisha & Gujar 2018, section 3.1; Metz et al. 2017",
        "unrolled",
        ("unrolled",),
        setting=("slow_discriminator",),
    ),
    "SV-G7": _on_ring(
        "Feature matching keeps G from training against the D of the moment alone.",
        "Manisha & Gujar 2018, table 2; Salimans et al. 2016",
        "feature matching",
        ("feature_matching",),
    ),
    "SV-G8": _on_ring(
        "A D that sees how close samples are to one another keeps G from collapsing.",
        "Manisha & Gujar 2018, section 3.1; Salimans et al. 2016",
        "minibatch discrimination",
        ("minibatch_discrimination", "small_batch"),
        setting=("slow_discriminator",),
        before=("small_batch",),
    ),
    "SV-G9": _on_ring(
        "Virtual batch norm keeps what batch norm in G is good for, without tying the samples of a batch.",
        "Manisha & Gujar 2018, table 2; Salimans et al. 2016",
        "virtual batch norm",
        ("virtual_batch_norm",),
    ),
    "SV-G11": _against_a_trained_discriminator(
        "Noise on what D sees keeps G's gradient alive against a D that would be sure.",
        "Manisha & Gujar 2018, section 3.3; Arjovsky & Bottou 2017",
        "Minimax",
        "instance noise",
        "minimax",
        "instance_noise",
    ),
    "SV-G12": _on_ring(
        "The pulling-away term keeps the energy-based G from collapsing.",
        "Manisha & Gujar 2018, section 3.1; Zhao et al. 2017",
        "pulling away",
        ("pulling_away",),
        without="energy based",
        setting=("slow_discriminator",),
        before=("energy_based",),
    ),
    "SV-G13": _on_ring(
        "With an encoder that finds a latent for every real sample, no mode goes missing.",
        "Manisha & Gujar 2018, section 3.1; Che et al. 2017",
        "mode regularised",
        ("mode_regularized",),
    ),
    "SV-G14": _on_ring(
        "A mixture of generators covers what one does not.",
        "Manisha & Gujar 2018, section 3.4; Arora et al. 2017",
        "4 generators",
        ("mixture_generators",),
    ),
}
