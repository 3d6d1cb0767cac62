"""The claims of *Catastrophic forgetting and mode collapse in GANs* (Thanh-Tung & Tran).

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import Claim, above, at_end, between, column_of, highest, lower, second_half, trained, untrained

LOCAL_MAXIMA = column_of(
    "landscape_probe",
    "landscape/local_maxima",
    "share of real images that are local maxima, second half of the run",
    second_half,
)
HALF_WIDTH = column_of(
    "landscape_probe", "landscape/half_width", "half-width of the maxima in units of k, second half", second_half
)

FORGETTING = {
    "CF-1": Claim(
        statement="D's gradient field turns with the fakes under plain SGD, and stands still with a zero-centred "
        "gradient penalty, with WGAN-GP, with Adam, or with an imbalanced loss.",
        source="Thanh-Tung & Tran, fig. 1 (the imbalanced loss on the ring is ours)",
        base="ring",
        runs={
            "non-saturating, SGD": (),
            "R1": ("r1",),
            "0-GP": ("zero_gp",),
            "imbalanced": ("imbalanced",),
            "Adam": ("adam",),
            "WGAN-GP": ("wgan_gp",),
            "WGAN-GP, n_critic 5": ("wgan_gp", "n_critic_5"),
            "WGAN-GP, Adam": ("wgan_gp", "adam"),
        },
        measures={
            "cosine": column_of(
                "vector_field",
                "field/cosine",
                "mean cosine of D's field over 500 iterations, second half of the run",
                second_half,
            )
        },
        relations={
            "non-saturating, SGD: below 0.3": lambda n: n["cosine"]["non-saturating, SGD"].mean() < 0.3,
            **{
                f"{run}: above 0.9": above("cosine", run, 0.9)
                for run in ("R1", "0-GP", "imbalanced", "Adam", "WGAN-GP", "WGAN-GP, n_critic 5", "WGAN-GP, Adam")
            },
        },
    ),
    "CF-2": Claim(
        statement="An imbalanced loss covers more modes than the plain one, and R1 with Adam covers all.",
        source="after Thanh-Tung & Tran, section V-B (the paper shows the imbalanced loss on CIFAR-10)",
        base="ring",
        runs={"non-saturating, SGD": (), "imbalanced": ("imbalanced",), "R1, Adam": ("r1", "adam")},
        measures={
            "modes": column_of(
                "mode_coverage", "modes/covered", "modes covered of 8, by 2 500 samples, at the end of the run", at_end
            )
        },
        relations={
            "imbalanced: at least twice the plain loss": lambda n: (
                n["modes"]["imbalanced"].mean() >= 2 * n["modes"]["non-saturating, SGD"].mean()
            ),
            "R1, Adam: 8 for every seed": lambda n: bool((n["modes"]["R1, Adam"] == 8).all()),
        },
    ),
    "CF-3": Claim(
        statement="D takes fakes of long ago for real now and then under plain SGD; with 0-GP it keeps them below 1/2.",
        source="Thanh-Tung & Tran, fig. 11, on MNIST; penalty of the probability, λ = 100",
        base="landscape",
        full_size="mnist",
        runs={"non-saturating, SGD": ("sgd",), "0-GP, SGD": ("sgd", "zero_gp_probability")},
        measures={
            "mean": column_of(
                "fixed_fakes", "fakes/scored_real", "share of old fakes scored real, mean over the run", trained
            ),
            "most": column_of("fixed_fakes", "fakes/scored_real", "the same, highest of the run", highest),
            "score": column_of("fixed_fakes", "fakes/score", "mean score of old fakes, highest of the run", highest),
        },
        relations={
            "non-saturating: more than 5 % of old fakes are scored real at some time, for every seed": lambda n: bool(
                (n["most"]["non-saturating, SGD"] > 0.05).all()
            ),
            "0-GP: the mean score of old fakes stays below 1/2, for every seed": lambda n: bool(
                (n["score"]["0-GP, SGD"] < 0.5).all()
            ),
            "0-GP: fewer are scored real": lower("mean", "0-GP, SGD", "non-saturating, SGD"),
        },
    ),
    "CF-4": Claim(
        statement="Under plain SGD D is monotone around (nearly) every real image, and turns round between snapshots.",
        source="Thanh-Tung & Tran, fig. 2, on MNIST",
        base="landscape",
        full_size="mnist",
        runs={"non-saturating, SGD": ("sgd",), "0-GP, Adam": ("zero_gp_probability",)},
        measures={
            "monotone": column_of(
                "landscape_probe", "landscape/monotone", "share of monotone curves, highest of the run", highest
            ),
            "null": column_of("landscape_probe", "landscape/monotone", "the same, untrained D", untrained),
            "turned": column_of(
                "landscape_probe",
                "landscape/slope_flipped",
                "share of curves whose slope has turned between two looks, highest of the run",
                highest,
            ),
            "maxima": LOCAL_MAXIMA,
        },
        relations={
            "SGD: above 0.9 of the curves are monotone at some look": above("monotone", "non-saturating, SGD", 0.9),
            "SGD: more are monotone than with an untrained D, for every seed": lambda n: bool(
                (n["monotone"]["non-saturating, SGD"] > n["null"]["non-saturating, SGD"]).all()
            ),
            "SGD: at least half of the curves have turned between two looks, for every seed": lambda n: bool(
                (n["turned"]["non-saturating, SGD"] >= 0.5).all()
            ),
            "SGD: fewer images are local maxima than with 0-GP": lower("maxima", "non-saturating, SGD", "0-GP, Adam"),
        },
    ),
    "CF-5": Claim(
        statement="With 0-GP, R1 or WGAN-GP real images are wide local maxima of D; with the plain loss fewer are.",
        source="Thanh-Tung & Tran, fig. 3 to 6, on MNIST; penalties of the probability, λ = 100, WGAN-GP λ = 10",
        base="landscape",
        full_size="mnist",
        runs={
            "non-saturating": (),
            "0-GP": ("zero_gp_probability",),
            "R1": ("r1_probability",),
            "WGAN-GP, n_critic 5": ("wgan_gp", "n_critic_5"),
        },
        measures={
            "maxima": LOCAL_MAXIMA,
            "null": column_of("landscape_probe", "landscape/local_maxima", "the same, untrained D", untrained),
            "width": HALF_WIDTH,
        },
        relations={
            **{f"{run}: above 0.8": above("maxima", run, 0.8) for run in ("0-GP", "R1", "WGAN-GP, n_critic 5")},
            **{
                f"non-saturating: lower than {run} by 0.1": lower("maxima", "non-saturating", run, by=0.1)
                for run in ("0-GP", "R1", "WGAN-GP, n_critic 5")
            },
            "untrained: below 0.5": lambda n: n["null"]["non-saturating"].mean() < 0.5,
            "0-GP: maxima at least four times as wide as those of non-saturating": lambda n: (
                n["width"]["0-GP"].mean() > 4 * n["width"]["non-saturating"].mean()
            ),
        },
    ),
    "CF-6": Claim(
        statement="With 0-GP of λ = 10 the maxima are narrower, and the samples less diverse, than with λ = 100.",
        source="Thanh-Tung & Tran, fig. 4 and 7, on MNIST; penalty of the probability",
        base="landscape",
        full_size="mnist",
        runs={"0-GP, λ = 100": ("zero_gp_probability",), "0-GP, λ = 10": ("zero_gp_probability_10",)},
        measures={
            "width": HALF_WIDTH,
            "neighbours": column_of(
                "nearest_reals",
                "fakes/nearest_reals",
                "training images that are nearest to one of 1 000 samples, mean over the run",
                trained,
            ),
        },
        relations={
            "λ = 10: maxima at most 0.8 times as wide": lambda n: (
                n["width"]["0-GP, λ = 10"].mean() < 0.8 * n["width"]["0-GP, λ = 100"].mean()
            ),
            "λ = 10: fewer different neighbours": lower("neighbours", "0-GP, λ = 10", "0-GP, λ = 100"),
        },
    ),
    "CF-7": Claim(
        statement="The Dirac GAN with two hidden units oscillates and its D is monotone; R1, or one old fake on the "
        "other side of the real point, brings the fake to 0 and D to a maximum there.",
        source="Thanh-Tung & Tran, fig. 8 and 12 (R1 after section V-B)",
        base="dirac_high_capacity",
        runs={
            "plain": (),
            "R1": ("dirac_r1",),
            "one old fake": ("old_fake",),
            "old fakes at random": ("dirac_replay",),
        },
        measures={
            "amplitude": column_of(
                "dirac_portrait", "dirac/amplitude", "largest |θ| of the last 100 of 500 iterations", at_end
            ),
            "monotone": column_of(
                "dirac_portrait",
                "dirac/monotone",
                "share of iterations 50 to 150 at which D is monotone",
                between(50, 150),
            ),
            "early": column_of(
                "dirac_portrait",
                "dirac/maximum_at_real",
                "share of iterations 40 to 80 at which D is highest at the real point",
                between(40, 80),
            ),
            "late": column_of(
                "dirac_portrait", "dirac/maximum_at_real", "the same, from 400 to 500", between(400, 500)
            ),
        },
        relations={
            "plain: farther than 0.25 from 0 at the end, in most seeds": lambda n: (
                (n["amplitude"]["plain"] > 0.25).mean() > 0.5
            ),
            "plain: D is monotone most of the time": above("monotone", "plain", 0.5),
            "R1: ends within 0.25 of 0, in nine seeds of ten": lambda n: (n["amplitude"]["R1"] < 0.25).mean() >= 0.9,
            "R1: D is highest at the real point in the end, in most seeds": lambda n: (
                (n["late"]["R1"] > 0.5).mean() > 0.5
            ),
            "one old fake: ends within 0.25 of 0, in most seeds": lambda n: (
                (n["amplitude"]["one old fake"] < 0.25).mean() > 0.5
            ),
            "old fakes at random: ends within 0.25 of 0, in most seeds": lambda n: (
                (n["amplitude"]["old fakes at random"] < 0.25).mean() > 0.5
            ),
            "one old fake: D is highest at the real point sooner than without": lambda n: (
                n["early"]["one old fake"].mean() > n["early"]["plain"].mean()
            ),
        },
    ),
    "CF-8": Claim(
        statement="A Dirac D that is optimised on the current fake alone becomes monotone.",
        source="Thanh-Tung & Tran, proposition 1 and fig. 8 (f)",
        base="dirac_high_capacity",
        runs={"the fake stands still": ("frozen_fake",)},
        measures={
            "monotone": column_of(
                "dirac_portrait", "dirac/monotone", "D is monotone (1) or not (0), at the end", at_end
            ),
            "null": column_of("dirac_portrait", "dirac/monotone", "the same, untrained D", untrained),
        },
        relations={
            "monotone for every seed": lambda n: bool((n["monotone"]["the fake stands still"] == 1).all()),
            "not so for every seed before training": lambda n: bool((n["null"]["the fake stands still"] < 1).any()),
        },
    ),
}
