"""The best checkpoint by any logged number, and early stopping, where `training_step` has optimizers of its own."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from callbacks import Checkpoints, Observation, Probe
from datamodules import RingDataModule
from lit_gans import GAN
from tests.toys import assert_same, ring_gan, state, train

KEEPS = {"enable_checkpointing": True}


class Score(Probe):
    """A number that follows a script, look by look, and the weights at each."""

    def __init__(self, numbers, every=4):
        super().__init__(every)
        self.numbers, self.weights = iter(numbers), {}

    def observe(self, trainer, gan):
        self.weights[gan.iteration] = state(gan)
        return Observation({"score": torch.tensor(next(self.numbers))})


@pytest.mark.parametrize("n_critic", [1, 5])
@pytest.mark.parametrize(("mode", "best"), [("max", 12), ("min", 4)])
def test_the_best_checkpoint_is_that_of_the_best_look(mode, best, n_critic, tmp_path):
    probe = Score([0.5, 0.1, 0.4, 0.9, 0.3, 0.2])  # at 0, 4, 8, 12, 16, 20
    keeper = ModelCheckpoint(tmp_path, "{step}", monitor="score", mode=mode, every_n_train_steps=4)
    train(ring_gan(n_critic=n_critic), 20, callbacks=[keeper, probe], **KEEPS)
    (path,) = tmp_path.glob("*.ckpt")
    assert str(path) == keeper.best_model_path
    assert path.name == f"step={best}.ckpt"
    kept = torch.load(path, weights_only=True)
    assert kept["global_step"] == best
    assert_same(kept["state_dict"], probe.weights[best])


def test_the_best_validation_is_credited_to_its_own_iteration(tmp_path):
    def run(keeper, iterations, **settings):
        data = RingDataModule(batch_size=16, samples_per_epoch=16 * 4, n_validation=64)
        pl.seed_everything(0, verbose=False)
        gan, validations = ring_gan("Adam"), Validations()
        train(gan, iterations, data, [validations, keeper], max_epochs=-1, limit_val_batches=None, **KEEPS, **settings)
        return state(gan), validations.seen

    def keeper(folder, last=True):
        how = {"monitor": "val/g/adversarial", "every_n_train_steps": 3, "save_last": last}
        return Checkpoints(tmp_path / folder, "{step}", **how)

    whole, seen = run(first := keeper("whole"), 20)
    assert sorted(seen) == [4, 8, 12, 16, 20]
    best = min(seen, key=seen.get)
    assert first.best_model_path == str(tmp_path / "whole" / f"step={best}.ckpt")
    assert first.best_model_score == pytest.approx(seen[best])
    assert torch.load(tmp_path / "whole" / "last.ckpt")["global_step"] == 18
    for path in (tmp_path / "whole").iterdir():
        assert_same(run(keeper("again"), 20, ckpt_path=path)[0], whole)
    run(keeper("link", "link"), 20)
    assert torch.load(tmp_path / "link" / "last.ckpt")["global_step"] == 18
    run(keeper("before"), 3)
    assert [path.name for path in (tmp_path / "before").iterdir()] == ["last.ckpt"]


class Validations(pl.Callback):
    """What each validation has found."""

    def __init__(self):
        self.seen = {}

    def on_validation_end(self, trainer, gan):
        self.seen[trainer.global_step] = trainer.callback_metrics["val/g/adversarial"].item()


def test_one_number_may_be_a_penalty_and_another_a_seeds(tmp_path):
    keepers = [
        ModelCheckpoint(tmp_path, f"{i}-{{step}}", monitor=key, every_n_train_steps=5)
        for i, key in enumerate(("d/adversarial", "g/gradient_norm/seed_4"))
    ]
    gan = ring_gan(seeds=[4, 5])
    train(gan, 10, callbacks=keepers, **KEEPS, log_every_n_steps=5)
    assert sorted(path.name[0] for path in tmp_path.glob("*.ckpt")) == ["0", "1"]
    for keeper in keepers:
        assert keeper.best_model_score == min(keeper.best_k_models.values())


@pytest.mark.parametrize(("patience", "end"), [(2, 20), (3, 24)])
def test_a_run_that_gets_no_better_stops(patience, end):
    """An epoch is four iterations here, and each ends with a look."""
    probe = Score([0.1, 0.2, 0.5, 0.9, 0.6, 0.8, 0.7, 0.3, 0.3, 0.3, 0.3])  # the best at iteration 12
    stopping = EarlyStopping("score", mode="max", patience=patience, check_on_train_epoch_end=True)
    data = RingDataModule(batch_size=16, samples_per_epoch=4 * 16 * 2)
    trainer = train(ring_gan(n_critic=2), 400, data, callbacks=[stopping, probe], max_epochs=-1)
    assert trainer.global_step == end
    assert stopping.best_score == pytest.approx(0.9)


def test_a_resumed_run_stops_where_the_whole_one_does(tmp_path):
    def run(numbers, **settings):
        stopping = EarlyStopping("score", mode="max", patience=2, check_on_train_epoch_end=True)
        keeper = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=6, save_top_k=-1)
        data = RingDataModule(batch_size=16, samples_per_epoch=4 * 16)
        hooks = [stopping, keeper, Score(numbers)]
        trainer = train(ring_gan(), 400, data, hooks, max_epochs=-1, **KEEPS, **settings)
        return trainer.global_step, stopping.best_score.item()

    whole = run([0.1, 0.9, 0.5, 0.5, 0.5])  # at 0, 4, 8, 12
    rest = run([0.5, 0.5, 0.5, 0.5], ckpt_path=tmp_path / "step=6.ckpt")  # at 6, 8, 12
    assert whole == rest == (12, pytest.approx(0.9))


@pytest.mark.parametrize(("kind", "settings"), [(ModelCheckpoint, {}), (EarlyStopping, {"strict": False})])
def test_a_number_that_is_not_logged_is_told_at_once(kind, settings):
    told = rf"{kind.__name__} monitors 'scroe', which has not been logged so far.*mean 'score'\?.*d/adversarial"
    with pytest.warns(UserWarning, match=told):
        train(
            ring_gan(),
            1,
            callbacks=[kind(monitor="scroe", **settings), Score([0.1, 0.2])],
            log_every_n_steps=1,
            **KEEPS,
        )


@pytest.mark.parametrize("key", ["score", "d/gradient_norm", "val/d/adversarial"])
def test_of_what_is_logged_or_will_be_nothing_is_told(key, recwarn):
    hooks = [ModelCheckpoint(monitor=key), Score([0.1, 0.2])]
    train(ring_gan(), 1, callbacks=hooks, log_every_n_steps=1, **KEEPS)
    assert not [each for each in recwarn if "monitors" in str(each.message)]


def test_it_loads_in_two_lines(tmp_path):
    keeper = ModelCheckpoint(tmp_path, monitor="score", every_n_train_steps=4)
    gan = ring_gan()
    train(gan, 8, callbacks=[keeper, Score([3.0, 1.0, 2.0])], **KEEPS)
    best = GAN.load_from_checkpoint(
        keeper.best_model_path,
        generator=ring_gan().generator,
        discriminator=ring_gan().discriminator,
        latent_dim=2,
        weights_only=True,
    )
    assert best.iteration == 4
    assert best.sample(3).shape == (3, 2)
