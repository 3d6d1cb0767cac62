"""Feature extractors: what FID, KID and the inception score see of an image.

An extractor is any `nn.Module` from images `(n, C, H, W)` in [-1, 1] to features `(n, d)`, or to `Features`.
"""

import hashlib
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .judges import ClassifierJudge


class Features(NamedTuple):
    """What an extractor says of `n` images."""

    features: Tensor
    """Shape `(n, d)`: FID and KID compare these."""
    logits: Tensor | None = None
    """Of classes, shape `(n, m)`, for the inception score; None: there is none."""


class InceptionExtractor(nn.Module):
    """The Inception network of the published FID: 2 048 features of its last pooling, 1 008 logits without bias.

    Its weights are downloaded when it is made (torch-fidelity, 91 MB), unless a file of them is given. Images of one
    channel are taken as grey.

    Args:
        weights: A file with the weights, as torch-fidelity loads them.

    Raises:
        ValueError: If torch-fidelity is not installed, or the file is not there or holds more than tensors.

    Source: Heusel et al. 2017 and Salimans et al. 2016, by way of torch-fidelity, as torchmetrics has it.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise ValueError(
                "InceptionExtractor: torch-fidelity, which brings the network, is not installed; "
                "run: pip install torch-fidelity; or give another extractor"
            ) from error
        if weights is not None:
            if not Path(weights).is_file():
                raise ValueError(f"InceptionExtractor: there is no file of weights {weights}")
            try:  # torch-fidelity would run what code the file has
                torch.load(weights, weights_only=True, map_location="meta")
            except Exception as error:
                raise ValueError(f"InceptionExtractor: {weights} is no file of weights alone ({error})") from error
        self.inception: Any = FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=None if weights is None else str(weights),
        )

    def forward(self, images: Tensor) -> Features:
        """Features of images, which are rounded to 8 bits first, as those of files are.

        Raises:
            ValueError: If they are no images of one or three channels.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"InceptionExtractor: looks at images (n, 1 or 3, H, W), got samples of shape {tuple(images.shape[1:])}"
            )
        eight_bits = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return Features(*self.inception(eight_bits.expand(-1, 3, -1, -1)))


class JudgeExtractor(nn.Module):
    """The hidden layer of a `ClassifierJudge` as features, its classes as logits: for data that Inception never saw.

    Numbers are not those of papers; between runs with one judge they can be compared.

    Args:
        file: What `lit-gans judge` has written.

    Raises:
        ValueError: What `ClassifierJudge` refuses.
    """

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        judge = ClassifierJudge(file)
        self.sample_shape = judge.sample_shape
        self.hidden, self.classes = (nn.Linear(*weight.shape[::-1]) for weight, _ in judge.layers)
        for layer, (weight, bias) in zip((self.hidden, self.classes), judge.layers, strict=True):
            layer.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, images: Tensor) -> Features:
        """Features of images of the judge's shape."""
        if tuple(images.shape[1:]) != self.sample_shape:
            raise ValueError(
                f"JudgeExtractor: the judge knows images of shape {self.sample_shape}, got {tuple(images.shape[1:])}; "
                f"train one on the data of this run by `lit-gans judge`"
            )
        features = self.hidden(images.float().flatten(1)).relu()
        return Features(features, self.classes(features)[:, :-1])  # the last is "none of the domain"


def extracted(extractor: nn.Module, images: Tensor, batch_size: int) -> Features:
    """Features of images `(n, *sample)`, batch by batch, in eval mode and without gradients, on the CPU.

    Those of an image that is not finite are NaN, whatever the extractor makes of it.

    Raises:
        ValueError: If what the extractor returns are not features of n images.
    """
    device = next((parameter.device for parameter in extractor.parameters()), images.device)
    extractor.eval()  # every time: whoever holds it may have put it into train mode
    parts: list[Features] = []
    with torch.no_grad():
        for batch in images.split(batch_size):
            found = extractor(batch.to(device))
            part = Features(found) if isinstance(found, Tensor) else Features(*found)
            for what, values in part._asdict().items():
                if values is not None and (values.ndim != 2 or len(values) != len(batch)):
                    raise ValueError(
                        f"{type(extractor).__name__}: {what} must be of shape (n, d), one row per image, got "
                        f"{tuple(values.shape)} for {len(batch)} images"
                    )
            parts.append(part)
    finite = images.flatten(1).isfinite().all(1, keepdim=True).cpu()
    features = torch.cat([part.features for part in parts]).cpu().where(finite, torch.nan)
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(features, torch.cat(logits).cpu().where(finite, torch.nan) if logits else None)


def fingerprint(extractor: nn.Module, images: Tensor) -> str:
    """A key that changes with whatever the features of images depend on.

    These are the images, and the extractor's class and code, its architecture as printed, and every weight.
    """
    try:
        code = inspect.getsource(type(extractor))
    except (OSError, TypeError):  # typed into a console
        code = ""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{type(extractor).__module__}.{type(extractor).__qualname__}\n{code}\n{extractor!r}".encode())
    for name, value in {**extractor.state_dict(), "": images}.items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
