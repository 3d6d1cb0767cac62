"""What `validate` and `test` measure of a game: both losses, and what D tells right, on held-out samples."""

from typing import TYPE_CHECKING, Any

from .hooks import DiscriminatorStep
from .logbook import by_seed
from .players import accuracy
from .streams import draws_for

if TYPE_CHECKING:
    from .gan import GAN


def evaluate(gan: "GAN", batch: Any, batch_idx: int, stage: str) -> None:
    """Logs `<stage>/d/…` and `<stage>/g/…` of a batch of held-out reals and as many fresh fakes of G as it plays."""
    samples = batch[0] if isinstance(batch, list | tuple) else batch
    real = samples.expand(*gan.seeds_axis, *samples.shape)
    # Draws of its own: watching a game must not change it.
    draws = draws_for(gan.seeds, f"{stage} batch {batch_idx} on process {gan.trainer.global_rank}", gan.device)
    fake = gan.generator(draws.normal(real, (*real.shape[: len(gan.seeds_axis) + 1], gan.latent_dim)))
    real_logits, fake_logits = gan.logits(real), gan.logits(fake)
    step = DiscriminatorStep(gan.logits, real, fake, real_logits, fake_logits, draws=draws)
    numbers = {f"{stage}/d/{name}": value for name, value in accuracy(gan.loss, step).items()}
    numbers[f"{stage}/d/adversarial"] = gan.loss.discriminator(real_logits, fake_logits, real, fake).mean(-1)
    numbers[f"{stage}/g/adversarial"] = gan.loss.generator(real_logits, fake_logits, real, fake).mean(-1)
    # During fit the loggers get them from on_validation_end, at the iteration; Lightning's own axis lags by one.
    alone = gan.trainer.state.fn != "fit"
    gan.log_dict(by_seed(numbers, gan.seeds), batch_size=len(samples), logger=alone, sync_dist=True)
