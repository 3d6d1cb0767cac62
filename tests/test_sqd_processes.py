"""SQD and sample quality under two processes: each process tells what one alone would."""

import pytorch_lightning as pl
import torch
from torch import nn

from callbacks import SampleQuality, SQDLogger
from lit_gans import GANStrategy
from tests.toys import ring_gan, train


class WrittenDown(pl.Callback):
    """At the end, what both processes have measured, as the first one writes it down."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, gan):
        numbers = {
            key: trainer.strategy.all_gather(value.double()).tolist()
            for key, value in sorted(trainer.callback_metrics.items())
            if key.startswith(("sqd/", "quality/"))
        }
        if trainer.is_global_zero:
            torch.save({"numbers": numbers, "game": gan.state_dict()}, self.path)


def probes(folder):
    return [
        SQDLogger(5, n_samples=300),
        SampleQuality(5, nn.Identity(), n_samples=300, n_reals=300, subset_size=50, cache=str(folder / "cache")),
    ]


def test_two_processes_tell_what_one_alone_would_of_the_same_game(tmp_path):
    pl.seed_everything(0, verbose=False)
    train(
        ring_gan(seeds=[0, 1]),
        10,
        callbacks=[*probes(tmp_path), WrittenDown(tmp_path / "seen.pt")],
        devices=2,
        strategy=GANStrategy(start_method="fork", process_group_backend="gloo"),
        log_every_n_steps=5,
    )
    seen = torch.load(tmp_path / "seen.pt")
    for key, (first, second) in seen["numbers"].items():
        assert first == second, key
    assert {"sqd/stability/g/seed_0", "sqd/stability_peak/d", "sqd/quality", "quality/fid/seed_1"} <= set(
        seen["numbers"]
    )

    gan = ring_gan(seeds=[0, 1])
    gan.load_state_dict(seen["game"])
    train(gan, 1, callbacks=probes(tmp_path), log_every_n_steps=0)  # looks at the game as it was given first
    for table, keys in (
        ("sqd_logger", ("sqd/quality", "sqd/diversity")),
        ("sample_quality", ("quality/fid", "quality/kid")),
    ):
        rows = (tmp_path / f"{table}.csv").read_text().splitlines()
        columns = rows[0].split(",")
        last_of_two, first_alone = (dict(zip(columns, row.split(","), strict=True)) for row in rows[-3:-1])
        assert (last_of_two["iteration"], first_alone["iteration"]) == ("10", "0")
        for key in keys:
            for seed in (0, 1):
                assert first_alone[f"{key}/seed_{seed}"] == last_of_two[f"{key}/seed_{seed}"]
