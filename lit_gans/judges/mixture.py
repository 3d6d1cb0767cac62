"""MixtureJudge: the exact judge of a known mixture of Gaussians."""

from torch import Tensor

from ..metrics.coverage import nearest_center
from .judge import Judge, Judgement


class MixtureJudge(Judge):
    """The exact judge of a mixture of isotropic Gaussians.

    A sample is of the domain, with probability 1, within three standard deviations of the nearest center, and
    otherwise with probability 0: what `mode_coverage` calls of high quality. Of the mixture's own samples in two
    dimensions 98.9 % are.

    Args:
        centers: Shape `(m, d)`.
        std: The standard deviation of a mode, in the data's units.

    Source: Lin et al. 2018 (PacGAN), section 4.1, on three standard deviations.
    """

    def __init__(self, centers: Tensor, std: float) -> None:
        self.centers, self.std = centers, std
        self.n_modes = len(centers)

    def __call__(self, samples: Tensor) -> Judgement:
        """Judges samples `(..., n, d)`.

        Raises:
            ValueError: If they are not of the mixture's dimension.
        """
        if samples.shape[-1:] != self.centers.shape[-1:]:
            raise ValueError(
                f"MixtureJudge: judges points of {self.centers.shape[-1]} numbers, got samples of shape "
                f"{tuple(samples.shape)}; give the run a judge of its own data"
            )
        finite = samples.isfinite().all(-1)
        distance, mode = nearest_center(samples, self.centers)
        return Judgement(((distance <= 3 * self.std) & finite).to(samples.dtype), mode.where(finite, -1))
