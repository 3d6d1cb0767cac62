"""The claims of *On catastrophic forgetting and mode collapse in GANs* (Thanh-Tung, Tran & Venkatesh, 2018).

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import (
    MODES_OF_SECOND_HALF,
    Claim,
    above,
    at_end,
    between,
    column_of,
    end_over_start,
    lower,
    second_half,
    trained,
    untrained,
)

WORKSHOP = {
    "WS-1": Claim(
        statement="Under plain SGD the game runs in a loop: the fakes travel around the ring, and both players come "
        "back to what they were.",
        source="Thanh-Tung et al. 2018, fig. 1",
        base="ring",
        runs={"non-saturating, SGD": ("probes",), "R1, Adam": ("r1", "adam", "probes")},
        measures={
            "return": column_of(
                "recurrence",
                "recurrence/return",
                "how far the game returns to an older state, iterations 5 000 to 10 000",
                between(5000, 10000),
            ),
            "turns": column_of(
                "recurrence",
                "recurrence/turns",
                "turns of the mean fake around the ring, most up to iteration 10 000",
                lambda iterations, values: abs(values[iterations <= 10000]).max(0),
            ),
        },
        relations={
            "SGD: returns, above 0.6": above("return", "non-saturating, SGD", 0.6),
            "R1, Adam: does not, below 0.3": lambda n: n["return"]["R1, Adam"].mean() < 0.3,
            "SGD: the fakes travel around, more than 2 turns": above("turns", "non-saturating, SGD", 2),
            "R1, Adam: they do not, below 1": lambda n: n["turns"]["R1, Adam"].mean() < 1,
        },
    ),
    "WS-2": Claim(
        statement="With a zero-centred gradient penalty the fakes are pulled in different directions.",
        source="Thanh-Tung et al. 2018, fig. 2",
        base="ring",
        runs={"non-saturating, SGD": ("probes",), "0-GP, SGD": ("zero_gp", "probes")},
        measures={
            "attraction": column_of(
                "attraction",
                "fakes/attraction",
                "mean resultant length of the pull on fakes, mean over the run",
                trained,
            )
        },
        relations={"0-GP: lower": lower("attraction", "0-GP, SGD", "non-saturating, SGD")},
    ),
    "WS-3": Claim(
        statement="With Adam D's field stands still, but the fakes do not escape from mode collapse.",
        source="Thanh-Tung et al. 2018, fig. 3 and section 2.2",
        base="ring",
        runs={
            "non-saturating, SGD": ("probes",),
            "Adam": ("adam", "probes"),
            "0-GP, Adam": ("zero_gp", "adam", "probes"),
        },
        measures={
            "cosine": column_of(
                "vector_field", "field/cosine", "mean cosine of D's field over 500 iterations, second half", second_half
            ),
            "modes": column_of("mode_coverage", "modes/covered", "modes covered of 8, at the end", at_end),
        },
        relations={
            "Adam: the field stands still, above 0.9": above("cosine", "Adam", 0.9),
            "Adam: not all modes, for any seed": lambda n: bool((n["modes"]["Adam"] < 8).all()),
            "Adam: fewer modes than with 0-GP": lower("modes", "Adam", "0-GP, Adam"),
        },
    ),
    "WS-4": Claim(
        statement="Batch norm in G spreads the fakes over the space, where more modes pull them.",
        source="Thanh-Tung et al. 2018, section 2.2 and fig. 5",
        base="ring",
        runs={
            "non-saturating, SGD": (),
            "batch norm in G": ("batch_norm_generator",),
            "batch norm in both": ("batch_norm",),
        },
        measures={"modes": MODES_OF_SECOND_HALF},
        relations={
            "batch norm in G: more modes than without, by 1": lower(
                "modes", "non-saturating, SGD", "batch norm in G", by=1.0
            )
        },
    ),
    "WS-5": Claim(
        statement="With Adam and a 1-centred gradient penalty of constant weight the game keeps oscillating near the "
        "end; with a weight that decays it settles.",
        source="Thanh-Tung et al. 2018, section 2.1 and fig. 7 (which does not name the loss: both are run)",
        base="ring",
        runs={
            "WGAN-GP, constant": ("wgan_gp", "adam", "movement"),
            "WGAN-GP, decaying": ("wgan_gp", "decay", "adam", "movement"),
            "non-saturating, constant": ("one_gp", "adam", "movement"),
            "non-saturating, decaying": ("decay", "adam", "movement"),
        },
        measures={
            "late": column_of(
                "movement",
                "fakes/moved",
                "how far fakes move in 500 iterations, mean over 15 000 to 20 000",
                between(15000, 20000),
            ),
            "middle": column_of("movement", "fakes/moved", "the same over 5 000 to 10 000", between(5000, 10000)),
            "modes": column_of("mode_coverage", "modes/covered", "modes covered of 8, at the end", at_end),
        },
        relations={
            **{
                f"{loss}, constant: moves on, by more than 0.3": above("late", f"{loss}, constant", 0.3)
                for loss in ("WGAN-GP", "non-saturating")
            },
            "WGAN-GP, decaying: less than half as far": lambda n: (
                n["late"]["WGAN-GP, decaying"].mean() < 0.5 * n["late"]["WGAN-GP, constant"].mean()
            ),
            "non-saturating, decaying: less than half as far": lambda n: (
                n["late"]["non-saturating, decaying"].mean() < 0.5 * n["late"]["non-saturating, constant"].mean()
            ),
        },
    ),
    "WS-6": Claim(
        statement="As a perceptron's G collapses, the effective rank of its layers falls and their columns become "
        "alike; convolutions keep their rank.",
        source="Thanh-Tung et al. 2018, sections 3.1 and 3.2",
        base="landscape",
        full_size="mnist",
        runs={"MLP, SGD (collapses)": ("sgd",), "MLP, Adam": (), "DCGAN, Adam": ("dcgan_narrow",)},
        measures={
            "rank": column_of(
                "weight_rank", "rank/effective_share", "effective rank of G's layers, end over start", end_over_start
            ),
            "middle": column_of(
                "weight_rank",
                "rank/layers.4/effective",
                "the same of one layer: the perceptron's third, the DCGAN's first convolution",
                end_over_start,
            ),
            "cosine": column_of("weight_rank", "rank/column_cosine", "mean cosine of columns, at the end", at_end),
            "null": column_of("weight_rank", "rank/column_cosine", "the same, untrained", untrained),
            "neighbours": column_of(
                "nearest_reals",
                "fakes/nearest_reals",
                "training images that are nearest to one of 1 000 samples, lowest of the run",
                lambda t, values: values[t > 0].min(0),
            ),
        },
        relations={
            "MLP, SGD: G has collapsed, to at most 50 neighbours at some time": lambda n: bool(
                (n["neighbours"]["MLP, SGD (collapses)"] <= 50).all()
            ),
            "MLP, SGD: the effective rank falls by a tenth": lambda n: n["rank"]["MLP, SGD (collapses)"].mean() < 0.9,
            "MLP, Adam: the effective rank falls by a tenth": lambda n: n["rank"]["MLP, Adam"].mean() < 0.9,
            "MLP, SGD: columns become more alike, for every seed": lambda n: bool(
                (n["cosine"]["MLP, SGD (collapses)"] > n["null"]["MLP, SGD (collapses)"]).all()
            ),
            "DCGAN: its convolution keeps nine tenths of its effective rank": above("middle", "DCGAN, Adam", 0.9),
            "DCGAN: keeps more of its effective rank than the MLP with Adam": lambda n: (
                n["rank"]["DCGAN, Adam"].mean() > n["rank"]["MLP, Adam"].mean()
            ),
        },
    ),
    "WS-7": Claim(
        statement="A mixture of discriminators helps against mode collapse; a mixture of generators does not.",
        source="Thanh-Tung et al. 2018, section 3.2, without an experiment",
        base="ring",
        runs={
            "non-saturating, SGD": (),
            "4 discriminators": ("mixture_discriminators", "faster_discriminators"),
            "4 discriminators, each at a quarter of the rate": ("mixture_discriminators",),
            "4 generators": ("mixture_generators",),
        },
        measures={"modes": MODES_OF_SECOND_HALF},
        relations={
            "4 discriminators: more modes than one, by 1": lower(
                "modes", "non-saturating, SGD", "4 discriminators", by=1.0
            ),
            "4 generators: no more modes than one, by 1": lambda n: bool(
                n["modes"]["4 generators"].mean() <= n["modes"]["non-saturating, SGD"].mean() + 1.0
            ),
        },
    ),
}
