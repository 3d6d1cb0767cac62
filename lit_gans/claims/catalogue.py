"""The claims. Thresholds stand here, in the code, before the runs that they judge."""

from .claim import Claim, at_end, second_half, table

CLAIMS = {
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
            "mean cosine of D's field over 500 iterations, second half of the run": table(
                "vector_field", "field/cosine", second_half
            )
        },
        relations={
            "non-saturating, SGD: below 0.3": lambda n: n["non-saturating, SGD"].mean() < 0.3,
            "R1: above 0.9": lambda n: n["R1"].mean() > 0.9,
            "0-GP: above 0.9": lambda n: n["0-GP"].mean() > 0.9,
            "imbalanced: above 0.9": lambda n: n["imbalanced"].mean() > 0.9,
            "Adam: above 0.9": lambda n: n["Adam"].mean() > 0.9,
            "WGAN-GP: above 0.9": lambda n: n["WGAN-GP"].mean() > 0.9,
            "WGAN-GP, n_critic 5: above 0.9": lambda n: n["WGAN-GP, n_critic 5"].mean() > 0.9,
            "WGAN-GP, Adam: above 0.9": lambda n: n["WGAN-GP, Adam"].mean() > 0.9,
        },
    ),
    "CF-2": Claim(
        statement="An imbalanced loss covers more modes than the plain one, and R1 with Adam covers all.",
        source="after Thanh-Tung & Tran, section V-B (the paper shows the imbalanced loss on CIFAR-10)",
        base="ring",
        runs={"non-saturating, SGD": (), "imbalanced": ("imbalanced",), "R1, Adam": ("r1", "adam")},
        measures={
            "modes covered of 8, by 2 500 samples, at the end of the run": table(
                "mode_coverage", "modes/covered", at_end
            )
        },
        relations={
            "imbalanced: at least twice the plain loss": lambda n: (
                n["imbalanced"].mean() >= 2 * n["non-saturating, SGD"].mean()
            ),
            "R1, Adam: 8 for every seed": lambda n: bool((n["R1, Adam"] == 8).all()),
        },
    ),
}
