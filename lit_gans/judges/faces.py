"""FaceJudge: whether an image is a face, by MTCNN, and whose it is most like, by ArcFace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from .judge import Judge, Judgement


class FaceJudge(Judge):
    """Judges faces as SQD does: quality by a face detector, modes by the identities of the training images.

    The probability of a sample is MTCNN's for the surest face that it finds in it, 0 where it finds none; its mode is
    `argmin_j ‖f(x) - f_j‖`, with `f_j` the mean embedding of the training images of identity j. `lit-gans judge
    --embedder arcface.onnx` writes the means into a file. Embeddings are of length 1, as ArcFace's are by definition.
    Images are not aligned first: those of CelebA are. It computes on the CPU.

    Args:
        file: What `lit-gans judge --embedder` has written.
        embedder: An ONNX file of the network that it was written with, such as ArcFace's: RGB images `(n, 3, H, W)` in
            [-1, 1] to embeddings `(n, d)`.
        min_face_size: The smallest face that MTCNN looks for, in pixels.
        batch_size: How many images at a time.

    Raises:
        ValueError: If a file is not there or not what it should be, or a package is not installed.

    Source: SQD, eq. 6 to 8; Zhang et al. 2016 (MTCNN, as facenet-pytorch has it) and Deng et al. 2019 (ArcFace).
    """

    def __init__(self, file: str | Path, embedder: str | Path, min_face_size: int = 20, batch_size: int = 64) -> None:
        self._detector = _detector(min_face_size)
        self._embed = onnx_embedder(embedder, batch_size)
        self.batch_size = batch_size
        if not Path(file).is_file():
            raise ValueError(
                f"FaceJudge: there is no file {file}; make one by `lit-gans judge --data ... --embedder {embedder} "
                f"--file {file}`"
            )
        try:
            self.identities: Tensor = torch.load(file, weights_only=True, map_location="cpu")["identities"]
        except Exception as error:
            raise ValueError(
                f"FaceJudge: {file} holds no identities; write it by `lit-gans judge --embedder`"
            ) from error
        self.n_modes = len(self.identities)

    @staticmethod
    def train(file: str | Path, images: Tensor, labels: Tensor, embedder: str | Path, batch_size: int = 64) -> Tensor:
        """Writes the mean embeddings `f_j`, `(m, d)`, of the identities 0 to m - 1, and returns them.

        Args:
            file: Where to.
            images: Shape `(N, C, H, W)`, in [-1, 1].
            labels: Whose face each is, shape `(N,)`.
            embedder: As of `FaceJudge`.
            batch_size: How many images at a time.

        Raises:
            ValueError: If an identity has no image, or what `onnx_embedder` refuses.
        """
        counts = torch.bincount(labels)
        if missing := (counts == 0).nonzero().flatten().tolist():
            raise ValueError(f"FaceJudge: there is no image of identity {', '.join(map(str, missing[:9]))}")
        found = onnx_embedder(embedder, batch_size)(images)
        identities = torch.zeros(len(counts), found.shape[1]).index_add(0, labels, found) / counts[:, None]
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        torch.save({"identities": identities}, file)
        return identities

    def __call__(self, samples: Tensor) -> Judgement:
        """Judges images `(..., n, 1 or 3, H, W)` in [-1, 1]."""
        if samples.ndim < 4 or samples.shape[-3] not in (1, 3):
            raise ValueError(
                f"FaceJudge: judges images (..., n, 1 or 3, H, W), got samples of shape {tuple(samples.shape)}"
            )
        flat = samples.detach().float().cpu().flatten(0, -4)
        finite = flat.flatten(1).isfinite().all(1)
        images = flat.where(finite[:, None, None, None], 0.0)
        mode = torch.cdist(self._embed(images), self.identities, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        probability = torch.cat([self._detected(batch) for batch in images.split(self.batch_size)])
        verdict = probability.where(finite, 0.0), mode.where(finite, -1)
        return Judgement(*(values.reshape(samples.shape[:-3]).to(samples.device) for values in verdict))

    def _detected(self, images: Tensor) -> Tensor:
        """The probability of the surest face in each image."""
        pixels = ((_rgb(images) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        _, found = self._detector.detect(pixels)
        return torch.tensor([0.0 if faces[0] is None else float(max(faces)) for faces in found])


def onnx_embedder(file: str | Path, batch_size: int = 64) -> Callable[[Tensor], Tensor]:
    """The network of an ONNX file, as a function of images `(n, 1 or 3, H, W)` in [-1, 1] to embeddings of length 1.

    Images are resized to what the network takes: its own size, or 112 x 112 where it does not say.

    Raises:
        ValueError: If onnxruntime is not installed, or the file is not there or no network of colour images.
    """
    if not Path(file).is_file():
        raise ValueError(
            f"there is no ONNX file {file}; ArcFace comes in no package: name a file that you have, such as those of "
            f"the insightface project"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("onnxruntime, which runs ONNX files, is not installed: pip install onnxruntime") from error
    try:
        session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"{file} is no ONNX network: {error}") from error
    given = session.get_inputs()[0]
    if len(given.shape) != 4 or given.shape[1] != 3:
        raise ValueError(f"{file} must take images (n, 3, H, W), it takes {given.shape}")
    size = tuple(side if isinstance(side, int) else 112 for side in given.shape[2:])
    at_a_time = given.shape[0] if isinstance(given.shape[0], int) else batch_size

    def embed(images: Tensor) -> Tensor:
        parts = []
        for batch in images.split(at_a_time):
            seen = interpolate(_rgb(batch), size=size, mode="bilinear", antialias=True).clamp(-1, 1)
            short = at_a_time - len(seen) if at_a_time == given.shape[0] else 0  # it takes no other number
            seen = torch.cat([seen, seen[:1].expand(short, -1, -1, -1)])
            parts.append(torch.from_numpy(session.run(None, {given.name: seen.numpy()})[0])[: len(batch)])
        return normalize(torch.cat(parts))

    return embed


def _rgb(images: Tensor) -> Tensor:
    return images.float().cpu().clamp(-1, 1).expand(-1, 3, -1, -1)


def _detector(min_face_size: int) -> Any:
    try:
        from facenet_pytorch import MTCNN
    except ImportError as error:
        raise ValueError(
            "FaceJudge: facenet-pytorch, which brings MTCNN, is not installed: pip install --no-deps facenet-pytorch "
            "(it asks for an older torch than it needs)"
        ) from error
    return MTCNN(min_face_size=min_face_size, device="cpu")
