"""What memory in D is good for: *Catastrophic forgetting and mode collapse in GANs*, sections IV-B and V-A.

Thresholds stand here, in the code, before the runs that they judge.
"""

from .claim import Claim, Relation, at_end, column_of, lower, second_half, trained

COSINE = column_of(
    "vector_field", "field/cosine", "mean cosine of D's field over 500 iterations, second half of the run", second_half
)
MODES = column_of(
    "mode_coverage", "modes/covered", "modes covered of 8, by 2 500 samples, at the end of the run", at_end
)
OLD_FAKES = column_of("fixed_fakes", "fakes/scored_real", "share of old fakes scored real, mean over the run", trained)
PLAIN = "non-saturating, SGD"
OF_PARAMETERS = ("online EWC", "EWC", "synaptic intelligence")
"""Memories of D's parameters; the other is of samples."""


def higher(measure: str, run: str, by: float) -> Relation:
    """The mean over seeds of a run lies higher than the plain one's, by more than a margin."""
    return lambda n: bool(n[measure][run].mean() > n[measure][PLAIN].mean() + by)


REMEMBERING = {
    "CF-10": Claim(
        statement="Continual learning keeps D's knowledge: with EWC or synaptic intelligence, or with old fakes in D's "
        "batches, its field stands stiller than without, and more modes are covered.",
        source="after Thanh-Tung & Tran, sections IV-B and V-A, who argue for it, and Thanh-Tung et al. 2018, section "
        "5.2, who leave it to future work",
        base="ring",
        runs={
            PLAIN: ("probes",),
            "online EWC": ("online_ewc", "probes"),
            "EWC": ("ewc", "probes"),
            "synaptic intelligence": ("synaptic_intelligence", "probes"),
            "old fakes, reservoir": ("replay", "probes"),
            "old fakes, recent": ("replay_recent", "probes"),
        },
        measures={"cosine": COSINE, "modes": MODES, "old": OLD_FAKES},
        relations={
            **{
                f"{run}: cosine higher than without, by 0.3": higher("cosine", run, by=0.3)
                for run in (*OF_PARAMETERS, "old fakes, reservoir", "old fakes, recent")
            },
            **{
                f"{run}: more modes than without, by 1": higher("modes", run, by=1.0)
                for run in (*OF_PARAMETERS, "old fakes, reservoir", "old fakes, recent")
            },
            **{
                f"{run}: fewer old fakes are scored real": lower("old", run, PLAIN)
                for run in (*OF_PARAMETERS, "old fakes, reservoir", "old fakes, recent")
            },
        },
    ),
    "CF-10-images": Claim(
        statement="The same on images: fewer old fakes are taken for real than without, and samples are more diverse.",
        source="after Thanh-Tung & Tran, sections IV-B and V-A; ten times their rate for a tenth of their time",
        base="landscape",
        full_size="mnist",
        runs={
            PLAIN: ("sgd_fast",),
            "online EWC": ("sgd_fast", "online_ewc_weak"),
            "synaptic intelligence": ("sgd_fast", "synaptic_intelligence"),
            "old fakes, reservoir": ("sgd_fast", "replay"),
        },
        measures={
            "old": OLD_FAKES,
            "neighbours": column_of(
                "nearest_reals",
                "fakes/nearest_reals",
                "training images that are nearest to one of 1 000 samples, at the end of the run",
                at_end,
            ),
        },
        relations={
            **{
                f"{run}: fewer old fakes are scored real, by 0.1": lower("old", run, PLAIN, by=0.1)
                for run in ("online EWC", "synaptic intelligence", "old fakes, reservoir")
            },
            **{
                f"{run}: at least 1.5 times as many neighbours": lambda n, run=run: bool(  # type: ignore[misc]
                    n["neighbours"][run].mean() >= 1.5 * n["neighbours"][PLAIN].mean()
                )
                for run in ("online EWC", "synaptic intelligence", "old fakes, reservoir")
            },
        },
    ),
}
