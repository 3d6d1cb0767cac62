"""A dashboard of Weights & Biases as code: `lit-gans dashboard --project NAME [--entity NAME]`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

STEP = "trainer/global_step"
"""Iterations: the axis of every number that `WandbLogger` logs."""


class Part(NamedTuple):
    """One section of the dashboard; what a run has not logged stays empty."""

    numbers: dict[str, tuple[str, ...]]
    """By title: the keys that share a panel."""
    pictures: tuple[str, ...] = ()
    """Probes whose pictures are shown, each in a panel."""
    films: tuple[str, ...] = ()
    """Probes whose films are shown, likewise."""


SECTIONS = {
    "Samples": Part({}, ("sample_grid", "latent_interpolation"), ("sample_grid",)),
    "Game": Part(
        {
            "losses": ("d/adversarial", "g/adversarial"),
            "lengths of the gradients": ("d/gradient_norm", "g/gradient_norm"),
            "D is right": ("d/accuracy_real", "d/accuracy_fake"),
        },
        ("loss_curves",),
    ),
    "Modes": Part(
        {
            "modes covered": ("modes/covered", "classes/covered"),
            "share of good samples": ("modes/high_quality",),
            "distance from the data": ("distance/sliced_wasserstein", "distance/mmd"),
        }
    ),
    "SQD": Part(
        {
            "stability": ("sqd/stability/g", "sqd/stability/d"),
            "quality": ("sqd/quality",),
            "diversity": ("sqd/diversity", "sqd/diversity_plugin", "sqd/diversity_max"),
        },
        ("turning_point",),
    ),
    "Landscape": Part(
        {
            "real samples that are local maxima": ("landscape/local_maxima",),
            "curves that are monotone": ("landscape/monotone",),
            "half width of the maxima": ("landscape/half_width",),
        },
        ("landscape_probe",),
        ("landscape_probe",),
    ),
    "Field": Part(
        {"field stands still": ("field/cosine",), "fakes are pulled together": ("fakes/attraction",)},
        ("vector_field", "value_surface"),
        ("vector_field",),
    ),
    "Memory": Part(
        {
            "terms": ("d/online_ewc", "d/ewc", "d/synaptic_intelligence", "d/historical_averaging"),
            "old fakes scored real": ("fakes/scored_real",),
            "the game returns": ("recurrence/return",),
        },
        ("fixed_fakes", "recurrence"),
    ),
}


def workspace(project: str, entity: str = "") -> "Workspace":
    """The dashboard, which `save()` sends to an account.

    Args:
        project: The project of the runs, as `--trainer.logger.project` has named it.
        entity: Whose project; empty is the account's own.

    Raises:
        ImportError: If `wandb-workspaces` is not installed.
    """
    import wandb_workspaces.reports.v2 as panels
    from wandb_workspaces import workspaces

    def of(part: Part) -> list[Any]:
        lines = [panels.LinePlot(title=title, x=STEP, y=list(keys)) for title, keys in part.numbers.items()]
        shown = [f"pictures/{name}" for name in part.pictures] + [f"films/{name}" for name in part.films]
        return [*lines, *(panels.MediaBrowser(title=key, media_keys=[key]) for key in shown)]

    sections = [workspaces.Section(name=name, panels=of(part), is_open=True) for name, part in SECTIONS.items()]
    return workspaces.Workspace(entity=entity, project=project, name="lit-gans", sections=sections)


def main(args: Sequence[str] | None = None) -> None:
    """Makes the dashboard in the account that `wandb login` knows, and says where it is."""
    parser = argparse.ArgumentParser("lit-gans dashboard", description=__doc__)
    parser.add_argument("--project", required=True, help="the project that the runs were logged to")
    parser.add_argument("--entity", default="", help="whose project it is; left out, your own")
    given = parser.parse_args(args)
    try:
        from wandb import Error

        made = workspace(given.project, given.entity)
    except ImportError as error:
        parser.error(f"{error}; install it with: pip install 'lit-gans[dashboard]'")
    try:
        made.save()
    except Error as error:
        parser.error(f"the dashboard could not be sent: {error}")
    print(f"dashboard: {made.url}")
