"""Convolution of 3 x 3 filters by Winograd's F(2 x 2, 3 x 3), which makes 2 x 2 outputs of 16 multiplications instead
of 36, by F(2 x 4, 3 x 3), which makes 2 x 4 of 24 instead of 72, and by F(4 x 4, 3 x 3), which makes 4 x 4 of 36
instead of 144.

Outputs are cut into tiles of such a size. A tile y of 2 x 4, say, depends on a tile d of 4 x 6 inputs, which overlaps
its neighbours by two pixels, and on the filter g:

    y = A^T [ (G g G^T) * (B^T d B) ] A         * multiplies element by element; summed over input channels in [ ]

The three matrices are applied to the columns and to the rows of a tile, each axis having its own. Along an axis, a
filter and an output tile are coefficients of polynomials, whose product is taken from its values at some points. The
gradients come from this formula: y is linear in d and in g, so each goes back through the transposed matrices.

Source: Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks"; Barabasz et al., 2020, "Error
analysis and improving the accuracy of Winograd convolution for deep neural networks", for the choice of points.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["conv2d_winograd", "conv2d_winograd_backward"]

Pair = tuple[int, int]


def _matrices_4(a: float, b: float) -> tuple[NDArray, NDArray, NDArray]:
    """B, G and A of F(4 x 4, 3 x 3) for the points 0, a, -a, b, -b and infinity.

    With M(x) = x (x^2 - a^2) (x^2 - b^2), a point p has the coefficients of M(x) / (x - p) in B, (1, p, p^2) / M'(p) in
    G and (1, p, p^2, p^3) in A. Infinity has the coefficients of M, (0, 0, 1) and (0, 0, 0, 1).
    """
    points = np.array([0, a, -a, b, -b])
    quotients = [np.poly([q for q in points if q != p]) for p in points]  # the highest power first
    slopes = [np.polyval(quotient, p) for quotient, p in zip(quotients, points, strict=True)]
    inputs = [[0, *quotient] for quotient in quotients] + [np.poly(points)]
    filters = np.vander(points, 3, increasing=True) / np.reshape(slopes, (5, 1))
    outputs = np.vander(points, 4, increasing=True)
    return np.array(inputs).T[::-1], np.vstack([filters, [0, 0, 1]]), np.vstack([outputs, [0, 0, 0, 1]])


# By outputs of a tile along an axis.
MATRICES = {
    2: (
        np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]]),
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[1, 0], [1, 1], [1, -1], [0, -1]]),
    ),
    4: _matrices_4(0.75, 1.5),
}


def _both_sides(matrices: tuple[NDArray, NDArray], tiles: NDArray) -> NDArray:
    """matrices[0] @ tile @ matrices[1]^T for the tiles in the last two axes, in their dtype."""
    left, right = (matrix.astype(tiles.dtype) for matrix in matrices)
    return left @ tiles @ right.T


def _of_axes(size: Pair) -> tuple[tuple[NDArray, NDArray], ...]:
    """B^T, G and A^T of the two axes of a tile of `size` outputs."""
    (b_h, g_h, a_h), (b_w, g_w, a_w) = MATRICES[size[0]], MATRICES[size[1]]
    return (b_h.T, b_w.T), (g_h, g_w), (a_h.T, a_w.T)


def _transposed(matrices: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
    return matrices[0].T, matrices[1].T


def _input_tiles(x: NDArray, pad: Pair, out: Pair, size: Pair) -> NDArray:
    """tiles[n, c, i, j]: the pixels of the padded images that the outputs from size * (i, j) on read."""
    h, w = x.shape[2:]
    # The last tile may be partly outside.
    below, right = (outputs * -(-extent // outputs) + 2 for extent, outputs in zip(out, size, strict=True))
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0], below - pad[0] - h), (pad[1], right - pad[1] - w)))
    windows = sliding_window_view(padded, (size[0] + 2, size[1] + 2), axis=(2, 3))
    return windows[:, :, :: size[0], :: size[1]]


def _output_tiles(y: NDArray, size: Pair) -> NDArray:
    """tiles[n, k, i, j]: the outputs from size * (i, j) on, zero where there is none."""
    n, k, h, w = y.shape
    y = np.pad(y, ((0, 0), (0, 0), (0, -h % size[0]), (0, -w % size[1])))
    return y.reshape(n, k, -(-h // size[0]), size[0], -(-w // size[1]), size[1]).transpose(0, 1, 2, 4, 3, 5)


def conv2d_winograd(x: NDArray, weight: NDArray, bias: NDArray | None, pad: Pair, size: Pair = (2, 2)) -> NDArray:
    """`conv2d` of 3 x 3 filters, stride and dilation 1, one group, padding 0 to 2; by tiles of `size` outputs."""
    b, g, a = _of_axes(size)
    out = x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2
    inputs = _both_sides(b, _input_tiles(x, pad, out, size))
    filters = _both_sides(g, weight)
    products = np.einsum("ncijpq,kcpq->nkijpq", inputs, filters, optimize=True)
    tiles = _both_sides(a, products)
    n, k, tiles_h, tiles_w = tiles.shape[:4]
    y = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(n, k, size[0] * tiles_h, size[1] * tiles_w)
    y = y[:, :, : out[0], : out[1]]
    return y if bias is None else y + bias[:, None, None]


def conv2d_winograd_backward(
    dy: NDArray, x: NDArray, weight: NDArray, pad: Pair, size: Pair = (2, 2)
) -> tuple[NDArray, NDArray, NDArray]:
    """dx is such a convolution too, of dy with the taps in reverse order; dweight goes back through G g G^T:

    dg = G^T [ sum over images and tiles of (B^T d B) * (A dy A^T) ] G
    """
    b, g, a = _of_axes(size)
    reversed_taps = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    dx = conv2d_winograd(dy, reversed_taps, None, (2 - pad[0], 2 - pad[1]), size)
    inputs = _both_sides(b, _input_tiles(x, pad, dy.shape[2:], size))
    gradients = _both_sides(_transposed(a), _output_tiles(dy, size))
    sums = np.einsum("ncijpq,nkijpq->kcpq", inputs, gradients, optimize=True)
    return dx, _both_sides(_transposed(g), sums), dy.sum(axis=(0, 2, 3))
