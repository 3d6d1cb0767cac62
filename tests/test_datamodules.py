"""The data sets: their distributions, and a short run of each through a Trainer."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.distributions import MultivariateNormal

from datamodules import (
    DigitsDataModule,
    DiracDataModule,
    FashionMNISTDataModule,
    GANDataModule,
    GaussianPairDataModule,
    GridDataModule,
    MNISTDataModule,
    RingDataModule,
    StoredSource,
    SwissRollDataModule,
)
from lit_gans.streams import stream
from tests.idx_files import write_mnist

TOYS = [DiracDataModule, RingDataModule, GridDataModule, SwissRollDataModule, GaussianPairDataModule]
N = 200_000
FIVE_SIGMA = 5


def draws(data: Any, n: int = N) -> Tensor:
    return data.draw(n, torch.Generator().manual_seed(0)).double()


def points(x: Tensor) -> set[tuple[float, ...]]:
    return {tuple(point) for point in x.tolist()}


def assert_moments(x: Tensor, mean: list[float], second: list[float]) -> None:
    """E x and E x² per axis, each within five standard errors of its own estimate."""
    for values, expected in ((x, mean), (x.square(), second)):
        error = values.std(0) / math.sqrt(len(values))
        assert torch.all((values.mean(0) - torch.tensor(expected)).abs() <= FIVE_SIGMA * error)


# ---- distributions


@pytest.mark.parametrize("kind", TOYS)
def test_draws_are_a_function_of_the_generator(kind: Any) -> None:
    data = kind()
    first, again, other = (data.draw(50, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.dtype == torch.float32
    assert first.shape == (50, *data.sample_shape)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (kind is DiracDataModule)


@pytest.mark.parametrize("kind", TOYS)
def test_numbers_are_given_by_name(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        kind(32)  # of a ring this would be the number of modes


def test_dirac_is_zero() -> None:
    assert not draws(DiracDataModule()).any()


@pytest.mark.parametrize("options", [{}, {"radius": 1.0, "std": 0.01}, {"n_modes": 5, "std": 0.3}])
def test_ring(options: dict[str, Any]) -> None:
    data = RingDataModule(**options)
    radius = options.get("radius", math.sqrt(2))
    assert data.centers.shape == (options.get("n_modes", 8), 2)
    assert torch.allclose(data.centers.norm(dim=1), torch.tensor(radius), rtol=3e-4)
    assert torch.allclose(data.centers.mean(0), torch.zeros(2), atol=1e-6)
    gaps = torch.pdist(data.centers).sort().values[: len(data.centers)]
    assert torch.allclose(gaps, torch.tensor(2 * radius * math.sin(math.pi / len(data.centers))), rtol=3e-4)
    # M evenly spaced points on a circle have the second moment r²/2 along each axis, for M > 2.
    second = (2 / 1.414 if "radius" not in options else 1.0) ** 2 / 2 + data.std**2
    assert_moments(draws(data), [0.0, 0.0], [second, second])


def test_grid() -> None:
    data = GridDataModule(spacing=1.5)
    ticks = {round(value, 6) for value in data.centers[:, 0].tolist()}
    assert ticks == {-3.0, -1.5, 0.0, 1.5, 3.0}
    assert len(data.centers.unique(dim=0)) == 25
    second = 2 * 1.5**2 + 0.05**2
    assert_moments(draws(data), [0.0, 0.0], [second, second])


@pytest.mark.parametrize("data", [RingDataModule(), GridDataModule()], ids=["ring", "grid"])
def test_mixtures_are_even_and_round(data: Any) -> None:
    x = draws(data)
    distance, mode = torch.cdist(x, data.centers.double()).min(dim=1)
    m = len(data.centers)
    counts = torch.bincount(mode, minlength=m).double()
    assert (counts - N / m).abs().max() < FIVE_SIGMA * math.sqrt(N / m * (1 - 1 / m))
    # Rayleigh: E d² = 2 std², with variance 4 std⁴, and 1 - exp(-9/2) of it within three std.
    assert abs(distance.square().mean() / (2 * data.std**2) - 1) < FIVE_SIGMA / math.sqrt(N)
    share, expected = (distance < 3 * data.std).double().mean(), 1 - math.exp(-4.5)
    assert abs(share - expected) < FIVE_SIGMA * math.sqrt(expected * (1 - expected) / N)


def test_swiss_roll() -> None:
    data = SwissRollDataModule(noise=0.25, scale=7.5)
    t = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 100_001, dtype=torch.float64)
    roll = torch.stack([t * t.cos(), t * t.sin()], dim=1)
    length = 3 * math.pi
    mean = torch.trapezoid(roll, t, dim=0) / length / 7.5
    second = (torch.trapezoid(roll.square(), t, dim=0) / length + 0.25**2) / 7.5**2
    assert_moments(draws(data), mean.tolist(), second.tolist())
    # Without noise every point lies on the roll: its radius gives t, and t its angle.
    x = draws(SwissRollDataModule(noise=1e-6, scale=1.0), 1000)
    radius = x.norm(dim=1, keepdim=True)
    assert torch.allclose(x, radius * torch.cat([radius.cos(), radius.sin()], dim=1), atol=1e-3)


def test_gaussian_pair() -> None:
    data = GaussianPairDataModule(real_mean=(0.5, -1), fake_mean=(-2, 0.25), real_std=0.7, fake_std=1.3)
    x = torch.randn(7, 5, 2, dtype=torch.float64)
    sides = [("real", data.draw, data.real_log_density), ("fake", data.draw_fake, data.fake_log_density)]
    for name, draw, log_density in sides:
        mean, std = getattr(data, f"{name}_mean"), getattr(data, f"{name}_std")
        covariance = std**2 * torch.eye(2, dtype=torch.float64)
        oracle = MultivariateNormal(torch.tensor(mean, dtype=torch.float64), covariance)
        assert torch.allclose(log_density(x), oracle.log_prob(x), rtol=1e-12)
        drawn = draw(N, torch.Generator().manual_seed(0)).double()
        assert_moments(drawn, mean, [value**2 + std**2 for value in mean])


def test_gaussian_pair_on_fixed_sets() -> None:
    data: Any = GaussianPairDataModule(n_samples=20, batch_size=10, samples_per_epoch=400)
    assert data.real_set.shape == data.fake_set.shape == (20, 2)
    seen = torch.cat(list(data.train_dataloader()))
    assert len(seen) == 400
    assert points(seen) == points(data.real_set)
    held_out = torch.cat(list(data.val_dataloader()))
    assert not points(held_out) & points(data.real_set)
    another: Any = GaussianPairDataModule(n_samples=20)
    assert torch.equal(data.real_set, another.real_set)


@pytest.mark.parametrize("kind", [RingDataModule, SwissRollDataModule])
def test_held_out_draws_are_fixed_and_not_those_of_training(kind: Any) -> None:
    data = kind(n_validation=100, batch_size=30)
    validation, again, test = (
        torch.cat(list(loader)) for loader in (data.val_dataloader(), data.val_dataloader(), data.test_dataloader())
    )
    assert validation.shape == (100, 2)
    assert torch.equal(validation, again)
    train = data.draw(100, stream(0, "data/epoch0/rank0"))
    for one, other in ((validation, test), (validation, train), (test, train)):
        assert not points(one) & points(other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RingDataModule(batch_size=0), "batch_size must be at least 1, not 0"),
        (lambda: RingDataModule(n_predict=0), "n_predict"),
        (lambda: RingDataModule(n_modes=0), "n_modes"),
        (lambda: RingDataModule(std=0.0), "std must be a finite number above 0, not 0.0"),
        (lambda: RingDataModule(radius=math.nan), "radius"),
        (lambda: GridDataModule(spacing=-1.0), "spacing"),
        (lambda: GridDataModule(n_side=0), "n_side"),
        (lambda: SwissRollDataModule(scale=math.inf), "scale"),
        (lambda: GaussianPairDataModule(real_mean=(math.nan, 0)), "real_mean must be two finite numbers"),
        (lambda: GaussianPairDataModule(n_samples=0), "n_samples"),
        (lambda: DigitsDataModule(max_samples=0), "max_samples"),
        (lambda: DigitsDataModule(max_samples=1502).setup("fit"), "1502, but DigitsDataModule has 1501"),
        (lambda: RingDataModule(samples_per_epoch=100).train_dataloader(), r"1 \* 256 = 256 .* only 100"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ---- through a Trainer, and from the command line


class Recorder(pl.LightningModule):
    """Plays no game; remembers what it was given."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Tensor]] = {"fit": [], "validate": [], "test": [], "predict": []}
        for name, value in settings.items():
            setattr(self, name, value)

    def _note(self, stage: str, batch: Any) -> None:
        self.seen[stage].append(batch[0] if isinstance(batch, (tuple, list)) else batch)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self._note("fit", batch)
        return self.weight.square()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._note("validate", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._note("test", batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        self._note("predict", batch)
        return batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    settings: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    settings |= {"accelerator": "cpu", "enable_checkpointing": False, "default_root_dir": folder}
    return pl.Trainer(**(settings | options))


def small(kind: Any, folder: Path) -> GANDataModule:
    if issubclass(kind, MNISTDataModule):
        if not (folder / "files").exists():
            write_mnist(folder / "files", n_train=30, n_test=20)
        return kind(data_dir=str(folder / "files"), batch_size=2)
    return kind(batch_size=2)


@pytest.mark.parametrize("kind", [*TOYS, DigitsDataModule, MNISTDataModule, FashionMNISTDataModule])
def test_every_module_runs_through_a_trainer(tmp_path: Path, kind: Any) -> None:
    data = small(kind, tmp_path)
    module = Recorder(n_critic=3, seeds=[1, 2], latent_dim=4)
    run = trainer(tmp_path, max_steps=3, limit_val_batches=2, limit_test_batches=2)
    run.fit(module, datamodule=data)
    run.test(module, datamodule=data, verbose=False)
    run.predict(module, datamodule=data)
    assert [x.shape for x in module.seen["fit"]] == [(3 * 2 * 2, *data.sample_shape)] * 3
    for stage in ("validate", "test"):
        assert module.seen[stage], stage
        batch_size = 1 if kind is DiracDataModule else 2  # one 0 is as good as many
        assert {x.shape for x in module.seen[stage]} == {(batch_size, *data.sample_shape)}
    latents = torch.cat(module.seen["predict"])
    assert latents.shape == (64, 4)
    assert latents.std() > 0.7
    alone = data.__class__.train_dataloader(small(kind, tmp_path))  # without a trainer: one seed, one batch
    x = next(iter(alone))
    assert (x[0] if isinstance(x, tuple) else x).shape == (2, *data.sample_shape)


@pytest.mark.parametrize("limit", [None, 7])
@pytest.mark.parametrize("kind", [RingDataModule, DigitsDataModule])
def test_a_resumed_run_sees_the_same_bits(tmp_path: Path, kind: Any, limit: int | None) -> None:
    def fit(ckpt: Path | None = None) -> list[Tensor]:
        ring = kind is RingDataModule
        data = kind(batch_size=100, samples_per_epoch=1000) if ring else kind(batch_size=150)
        module = Recorder(seeds=[4])
        every_step = ModelCheckpoint(
            dirpath=tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1, monitor=None
        )
        options = {"enable_checkpointing": True, "callbacks": [every_step]} if ckpt is None else {}
        run = trainer(tmp_path, max_steps=33, limit_train_batches=limit, limit_val_batches=1, **options)
        run.fit(module, datamodule=data, ckpt_path=ckpt)
        return module.seen["fit"]

    whole = fit()
    assert len(whole) == 33
    for stop in (4, 7, 10, 23):  # within and at the end of epochs of 10, or of 7
        after = fit(tmp_path / f"step={stop}.ckpt")
        assert len(after) == 33 - stop
        assert all(torch.equal(x, y) for x, y in zip(after, whole[stop:], strict=True)), stop


def test_a_reloaded_loader_does_not_repeat_the_first_epoch(tmp_path: Path) -> None:
    epochs = {}
    for every in (0, 1):
        module = Recorder(seeds=[4])
        run = trainer(tmp_path, max_epochs=2, reload_dataloaders_every_n_epochs=every, limit_val_batches=0)
        run.fit(module, datamodule=DigitsDataModule(batch_size=500))
        epochs[every] = torch.stack(module.seen["fit"])
    assert torch.equal(epochs[0], epochs[1])
    assert len(epochs[0]) == 6


def test_what_the_trainer_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="overfit_batches=2"):
        trainer(tmp_path, overfit_batches=2, max_steps=1).fit(Recorder(), datamodule=RingDataModule())
    with pytest.raises(ValueError, match="Recorder has latent_dim=None"):
        trainer(tmp_path).predict(Recorder(), datamodule=RingDataModule())


class Holed(GANDataModule):
    """A user's own data, with a hole in it."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return (2,)

    def train_source(self) -> StoredSource:
        x = torch.zeros(100, 2)
        x[5] = float("nan")
        return StoredSource(x, name="Holed")

    def held_out_source(self, split: str) -> StoredSource:
        return StoredSource(torch.zeros(10, 2))


def test_nan_in_the_data_stops_a_run_before_it_starts(tmp_path: Path) -> None:
    module = Recorder()
    with pytest.raises(ValueError, match=r"Holed .* holds 2 values that are NaN .* index \(5, 0\)"):
        trainer(tmp_path, max_steps=3).fit(module, datamodule=Holed())
    assert not module.seen["fit"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data=RingDataModule", "--data.n_modes=5"], {"batch_size": 256, "sample_shape": (2,)}),
        (["--data=GridDataModule", "--data.n_side=3", "--data.spacing=1"], {"std": 0.05, "batch_size": 256}),
        (["--data=SwissRollDataModule", "--data.noise=0.5"], {"noise": 0.5, "scale": 7.5}),
        (["--data=DiracDataModule", "--data.n_predict=3"], {"n_predict": 3, "batch_size": 1}),
        (["--data=GaussianPairDataModule", "--data.real_mean=[3, 4]"], {"real_mean": (3.0, 4.0)}),
        (["--data=FashionMNISTDataModule", "--data.download=true"], {"download": True, "data_dir": "data"}),
        (["--data=DigitsDataModule", "--data.max_samples=9"], {"max_samples": 9, "sample_shape": (1, 8, 8)}),
    ],
)
def test_the_command_line_reads_every_argument(arguments: Any, expected: dict[str, Any]) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GANDataModule, "data")
    data = parser.instantiate(parser.parse_args(arguments)).data
    for name, value in expected.items():
        assert getattr(data, name) == value
