"""Memory under two processes: what all must share they share, what is each one's own is not."""

import pytorch_lightning as pl
import torch

from callbacks import HistoricalAveraging, InstanceNoise, OldFakeReplay, OnlineEWC, SynapticIntelligence
from lit_gans import GANStrategy
from tests.toys import ring_gan, train


class Compared(pl.Callback):
    """At the end, whether both processes hold the same, as the first one writes it down."""

    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, gan):
        ewc, si, replay = (next(c for c in trainer.callbacks if isinstance(c, kind)) for kind in KINDS)
        held = {
            "parameters": torch.cat([p.detach().flatten() for p in gan.parameters()]),
            "ewc": ewc.memory.importance,
            "anchor": ewc.memory.anchor,
            "si": si.memory.importance,
            "fakes": replay.buffer.fakes,
        }
        same = {name: torch.equal(*trainer.strategy.all_gather(value.contiguous())) for name, value in held.items()}
        if trainer.is_global_zero:
            torch.save(same, self.path)


KINDS = (OnlineEWC, SynapticIntelligence, OldFakeReplay)


def test_two_processes_share_parameters_and_importance_but_not_old_fakes(tmp_path):
    hooks = [OnlineEWC(10.0, 8), SynapticIntelligence(0.1, 6), OldFakeReplay(0.5)]
    hooks += [HistoricalAveraging(0.1, 0.1), InstanceNoise(0.1), Compared(tmp_path / "same.pt")]
    pl.seed_everything(0, verbose=False)
    train(
        ring_gan(seeds=[0, 1], n_critic=2),
        20,
        callbacks=hooks,
        devices=2,
        strategy=GANStrategy(start_method="fork", process_group_backend="gloo"),
    )
    same = torch.load(tmp_path / "same.pt")
    assert same == {"parameters": True, "ewc": True, "anchor": True, "si": True, "fakes": False}
