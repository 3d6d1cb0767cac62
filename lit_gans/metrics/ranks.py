"""Ranks: how many directions a layer's matrix lets through, and how alike its columns are.

A layer maps a to Wa. Inputs whose difference W maps to 0 become one output: mode collapse by low rank. Columns that
point the same way leave a narrow cone for the outputs of activations a ≥ 0: mode collapse by similar columns.

A convolution is the linear map with the (doubly block) Toeplitz matrix. Thanh-Tung et al. 2018, sec. 3.1, say that it
has rank n, its number of columns, if one element of the kernel is not 0. What holds, for one channel:

- Full padding, and a transposed convolution of any stride without padding: true.
- No padding: the rank is full, but that is m < n, the number of outputs; there is a null space.
- Circular padding: false. The rank is the number of frequencies that the kernel passes; (1, -1) stops the constant.
- Zero padding to the same size: false. (0, 0, 1) shifts a row of pixels and loses one; its rank is n - 1.

With several channels one element is not enough in any case. It does hold for almost every kernel, as for almost every
matrix of a linear layer. The effective rank is what tells the two apart.
"""

from math import prod
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional

from .fields import unit

Convolution = nn.Conv2d | nn.ConvTranspose2d
_MAX_ENTRIES = 2**20


class Ranks(NamedTuple):
    """What `matrix_ranks` and `convolution_ranks` found; tensors of shape `(...)`, NaN where weights are not finite."""

    numerical: Tensor
    """How many singular values are above rounding, 0 to `full`."""
    effective: Tensor
    """exp of the entropy of the normalised singular values, 1 to `numerical`; 0 of a matrix that is 0."""
    column_cosine: Tensor
    """The mean cosine between two columns, -1 to 1; NaN of a single column."""
    full: int
    """`min(m, n)`, the most that a rank can be."""
    boundary: Tensor
    """0 where the ranks are those of the layer's own operator A. Where they are those of a circular one, C, it is
    `‖A - C‖ / ‖C‖` (Frobenius), from the outputs at the edge of an image. Mirsky's theorem: the singular values of the
    two, `‖σ(A) - σ(C)‖ / ‖σ(C)‖`, are at most that far apart. With random kernels it was a quarter of that or less."""


def singular_values(matrix: Tensor) -> Tensor:
    """The singular values in descending order, `(..., m, n)` to `(..., min(m, n))`; NaN of a matrix that has any."""
    finite = matrix.isfinite().all(-1).all(-1)[..., None]
    values = torch.linalg.svdvals(torch.where(finite[..., None], matrix, 0))  # LAPACK refuses a NaN by an error
    return torch.where(finite, values, torch.nan)


def numerical_rank(values: Tensor, larger_side: int) -> Tensor:
    """How many singular values exceed `max(m, n) · ε · σ_max`, as `torch.linalg.matrix_rank` counts.

    Args:
        values: Singular values, shape `(..., k)`.
        larger_side: `max(m, n)` of the matrix that they are of.

    Returns:
        Shape `(...)`, in the dtype of the values, whose ε counts.
    """
    tolerance = larger_side * torch.finfo(values.dtype).eps * values.amax(-1, keepdim=True)
    rank = (values > tolerance).sum(-1).to(values.dtype)
    return torch.where(values.isnan().any(-1), torch.nan, rank)


def effective_rank(values: Tensor) -> Tensor:
    """`exp(-Σ p_k ln p_k)` with `p_k = σ_k / Σ_j σ_j`; n for n equal singular values, 0 if all are 0.

    Args:
        values: Singular values, shape `(..., k)`.

    Returns:
        Shape `(...)`.

    Source: Roy & Vetterli 2007, eq. 2 to 4.
    """
    total = values.sum(-1, keepdim=True)
    share = values / torch.where(total == 0, 1, total)
    return torch.where(total.squeeze(-1) == 0, 0, torch.exp(-torch.special.xlogy(share, share).sum(-1)))


def column_cosine(matrix: Tensor) -> Tensor:
    """The mean cosine over pairs of distinct columns, `(‖Σ_j u_j‖² - Σ_j ‖u_j‖²) / (n(n-1))`, u_j the unit columns.

    Signed: activations after a ReLU are ≥ 0, and opposite columns send them to opposite sides, which is no collapse.
    Columns drawn at random have a mean of 0; of absolute values it would hang on the number of rows, 0.64 for two.

    Args:
        matrix: Shape `(..., m, n)`; a pair with a column that is 0 counts as 0.

    Returns:
        Shape `(...)`; NaN for `n = 1`, which has no pairs.

    Source: Thanh-Tung et al. 2018, sec. 3.2.
    """
    units = unit(matrix.mT)
    nonzero = matrix.any(-2).sum(-1)
    cosine = _mean_over_pairs(units.sum(-2).square().sum(-1), nonzero, matrix.shape[-1])
    return torch.where(matrix.isfinite().all(-1).all(-1), cosine, torch.nan)


def matrix_ranks(matrix: Tensor) -> Ranks:
    """The ranks of matrices and the likeness of their columns, `(..., m, n)` to `(...)`."""
    values = singular_values(matrix)
    rank = numerical_rank(values, max(matrix.shape[-2:]))
    return Ranks(rank, effective_rank(values), column_cosine(matrix), min(matrix.shape[-2:]), torch.zeros_like(rank))


# -------------------------------------------------------------------------------------------------------- convolutions


def convolution_ranks(
    layer: Convolution, input_size: tuple[int, int], weight: Tensor | None = None, max_entries: int = _MAX_ENTRIES
) -> Ranks:
    """The ranks of a convolution's operator, and the likeness of its columns, which is exact at any size.

    Singular values are those of the exact matrix where it is small, and of the circular operator where it is not (see
    `convolution_route`). The two are one if the layer pads circularly, else `Ranks.boundary` says how far they are
    apart.

    Args:
        layer: Says how the kernel is applied: stride, padding, dilation, groups.
        input_size: `(H, W)` of the layer's input.
        weight: The kernel, shape `(..., *layer.weight.shape)`; None is the layer's own.
        max_entries: A matrix of at most so many entries is built.

    Raises:
        ValueError: See `convolution_route`.
    """
    if convolution_route(layer, input_size, max_entries) == "exact":
        return matrix_ranks(convolution_matrix(layer, input_size, weight))
    kernel = _without_groups(layer, layer.weight if weight is None else weight)
    sides = _sides(layer, input_size)
    wide, narrow = _wide_and_narrow(layer, input_size)
    values = circular_singular_values(_without_dilation(layer, kernel), wide, layer.stride)
    cosine, energy = _columns(layer, input_size, kernel)
    of_circular = prod(narrow) * kernel.double().square().sum((-4, -3, -2, -1))
    boundary = ((of_circular - energy).clamp(min=0) / torch.where(of_circular == 0, 1, of_circular)).sqrt()
    rank, dtype = numerical_rank(values, max(sides)), values.dtype
    return Ranks(rank, effective_rank(values), cosine.to(dtype), min(sides), boundary.to(dtype))


def convolution_route(
    layer: Convolution, input_size: tuple[int, int], max_entries: int = _MAX_ENTRIES
) -> Literal["exact", "circular"]:
    """Whether `convolution_ranks` takes the exact matrix, or, beyond `max_entries` entries, the circular operator.

    Raises:
        ValueError: If the matrix is too large and the layer is not a circular convolution save for the padding.
    """
    if prod(_sides(layer, input_size)) <= max_entries:
        return "exact"
    wide, narrow = _wide_and_narrow(layer, input_size)
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    fits = all(
        n == s * m and r <= n for n, m, s, r in zip(wide, narrow, layer.stride, reach, strict=True)
    ) and layer.padding_mode in ("zeros", "circular")
    if not fits:
        rows, columns = _sides(layer, input_size)
        raise ValueError(
            f"the operator of {layer} on {input_size[0]}x{input_size[1]} is a matrix of {rows} x {columns}, more than "
            f"max_entries={max_entries}, and has no circular counterpart for the FFT, which needs sides that the layer "
            f"divides (or, transposed, multiplies) by its stride, a kernel within them, and zero or circular padding; "
            f"raise max_entries if its singular values can be waited for"
        )
    return "circular"


def convolution_matrix(layer: Convolution, input_size: tuple[int, int], weight: Tensor | None = None) -> Tensor:
    """The matrix A with `vec(layer(x)) = A vec(x)` but for the bias: doubly block Toeplitz where padding is zero.

    Args:
        layer: Says how the kernel is applied; any stride, padding, dilation, groups.
        input_size: `(H, W)` of the layer's input.
        weight: The kernel, shape `(..., *layer.weight.shape)`; None is the layer's own.

    Returns:
        Shape `(..., c_out·H'·W', c_in·H·W)`.
    """
    kernel = _without_groups(layer, layer.weight if weight is None else weight)
    # Where each element of a kernel lands, by one channel and unit images. In float64, because convolutions and
    # products of float32 may be rounded to fewer digits on a GPU; entries are copies of the weights again in the end.
    is_transposed = isinstance(layer, nn.ConvTranspose2d)
    taps = torch.eye(prod(layer.kernel_size), dtype=torch.float64, device=kernel.device)
    taps = taps.unflatten(-1, layer.kernel_size).unsqueeze(0 if is_transposed else 1)
    pixels = torch.eye(prod(input_size), dtype=torch.float64, device=kernel.device).unflatten(-1, (1, *input_size))
    landing = _apply(layer, pixels, taps).flatten(2)  # (H·W, taps, H'·W')
    channels = "io" if is_transposed else "oi"
    matrix = torch.einsum(f"...{channels}t,ntm->...omin", kernel.double().flatten(-2), landing)
    return matrix.flatten(-2).flatten(-3, -2).to(kernel.dtype)


def circular_singular_values(kernel: Tensor, size: tuple[int, int], stride: tuple[int, ...] = (1, 1)) -> Tensor:
    """All singular values of a convolution with circular padding, by FFT, in descending order.

    A stride of 1 leaves frequencies apart: at each, the channels are mixed by a matrix `K(ω)` of `(c_out, c_in)`, the
    kernel's Fourier transform. A stride s maps s² frequencies (aliases) to one: the matrix is `[K(ω_1) … K(ω_s²)] / s`.
    A transposed convolution has the singular values of the convolution that it transposes.

    Args:
        kernel: Shape `(..., c_out, c_in, kH, kW)`, no larger than the image.
        size: `(H, W)` of the input, multiples of the stride.
        stride: Rows and columns.

    Returns:
        Shape `(..., min(m, n))` for the operator's matrix `(m, n) = (c_out·H·W/s², c_in·H·W)`.

    Raises:
        ValueError: If the kernel is larger than the image, or the stride does not divide it.

    Source: Sedghi et al. 2019, theorem 6, for stride 1.
    """
    (rows, columns), (down, across) = size, stride
    if kernel.shape[-2] > rows or kernel.shape[-1] > columns or rows % down or columns % across:
        raise ValueError(
            f"the FFT needs an image that holds the kernel and that the stride divides, got an image of "
            f"{rows}x{columns}, a kernel of {kernel.shape[-2]}x{kernel.shape[-1]} and a stride of {down}x{across}"
        )
    transfer = torch.fft.fft2(kernel, s=size).unflatten(-1, (across, -1)).unflatten(-3, (down, -1))
    mixing = torch.einsum("...oiaxby->...xyoiab", transfer).flatten(-3) / (down * across) ** 0.5
    # A real kernel has conjugate, hence equal, singular values at opposite frequencies: half of them will do.
    n = columns // across
    half = singular_values(mixing[..., : n // 2 + 1, :, :])
    values = torch.cat([half, half[..., 1 : (n + 1) // 2, :]], -2)
    return values.flatten(-3).sort(-1, descending=True).values


def _apply(layer: Convolution, inputs: Tensor, kernel: Tensor) -> Tensor:
    """The layer's linear map with another kernel, without bias and groups; images `([n,] c, H, W)`."""
    if isinstance(layer, nn.ConvTranspose2d):
        padding: Any = layer.padding  # numbers: the words that mypy fears are Conv2d's alone
        return functional.conv_transpose2d(
            inputs, kernel, None, layer.stride, padding, layer.output_padding, 1, layer.dilation
        )
    if layer.padding_mode == "zeros":
        return functional.conv2d(inputs, kernel, None, layer.stride, layer.padding, layer.dilation)
    inputs = functional.pad(inputs, layer._reversed_padding_repeated_twice, layer.padding_mode)
    return functional.conv2d(inputs, kernel, None, layer.stride, 0, layer.dilation)


def _without_groups(layer: Convolution, weight: Tensor) -> Tensor:
    """The kernel with zeros between channels of different groups."""
    if layer.groups == 1:
        return weight
    apart = torch.eye(layer.groups, dtype=weight.dtype, device=weight.device)
    grouped = weight.unflatten(-4, (layer.groups, -1))
    return torch.einsum("gh,...gabij->...gahbij", apart, grouped).flatten(-6, -5).flatten(-4, -3)


def _without_dilation(layer: Convolution, kernel: Tensor) -> Tensor:
    """The kernel with zeros between its elements."""
    down, across = layer.dilation
    rows, columns = kernel.shape[-2:]
    spread = kernel.new_zeros(*kernel.shape[:-2], down * (rows - 1) + 1, across * (columns - 1) + 1)
    spread[..., ::down, ::across] = kernel
    return spread


def _columns(layer: Convolution, input_size: tuple[int, int], kernel: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cosine between columns of the operator, and its squared Frobenius norm, without its matrix.

    The squares of the entries are the operator A² of the squared kernel, and the transpose of it applied to ones gives
    the columns' squared lengths c². The sum of the unit columns is `A (1/c)`.
    """

    def of_one(kernel: Tensor) -> tuple[Tensor, Tensor]:
        image = kernel.new_zeros(layer.in_channels, *input_size)
        squares = grad(lambda image: _apply(layer, image, kernel.square()).sum())(image)  # the transpose, of ones
        inverse_lengths = torch.where(squares == 0, 0, squares.rsqrt())
        sum_of_units = _apply(layer, inverse_lengths, kernel)
        nonzero = (squares != 0).sum()
        return _mean_over_pairs(sum_of_units.square().sum(), nonzero, squares.numel()), squares.sum()

    kernels = kernel.double().reshape(-1, *kernel.shape[-4:])
    cosine, energy = vmap(of_one)(kernels)
    return cosine.reshape(kernel.shape[:-4]), energy.reshape(kernel.shape[:-4])


def _mean_over_pairs(squared_sum: Tensor, nonzero: Tensor, n: int) -> Tensor:
    """The mean cosine between n vectors, from the squared norm of the sum of their unit vectors."""
    return (squared_sum - nonzero) / (n * (n - 1) or torch.nan)


def _output_size(layer: Convolution, input_size: tuple[int, int]) -> tuple[int, int]:
    image, tap = (torch.empty(1, 1, *sides, device="meta") for sides in (input_size, layer.kernel_size))
    *_, rows, columns = _apply(layer, image, tap).shape
    return rows, columns


def _wide_and_narrow(layer: Convolution, input_size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The larger image, which a convolution reads and a transposed one writes, and the smaller."""
    output_size = _output_size(layer, input_size)
    return (output_size, input_size) if isinstance(layer, nn.ConvTranspose2d) else (input_size, output_size)


def _sides(layer: Convolution, input_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the operator's matrix."""
    return layer.out_channels * prod(_output_size(layer, input_size)), layer.in_channels * prod(input_size)
