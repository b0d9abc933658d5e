"""Convolution of 3 x 3 filters by Winograd's F(2 x 2, 3 x 3): 16 multiplications for 2 x 2 outputs instead of 36.

Outputs are cut into tiles of 2 x 2. A tile y depends on a tile d of 4 x 4 inputs, which overlap by two pixels, and on
the filter g:

    y = A^T [ (G g G^T) * (B^T d B) ] A         * multiplies element by element; summed over input channels in [ ]

Each of the three matrices is applied to the rows and to the columns of a tile. The gradients come from this formula:
y is linear in d and in g, so each goes back through the transposed matrices.

Source: Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks".
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["conv2d_winograd", "conv2d_winograd_backward"]

Pair = tuple[int, int]

B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])


def _both_sides(matrix: NDArray, tiles: NDArray) -> NDArray:
    """matrix @ tile @ matrix^T for the tiles in the last two axes, in their dtype."""
    matrix = matrix.astype(tiles.dtype)
    return matrix @ tiles @ matrix.T


def _input_tiles(x: NDArray, pad: Pair, out: Pair) -> NDArray:
    """tiles[n, c, i, j]: the 4 x 4 pixels of the padded images from (2 i, 2 j) on, which outputs from there on read."""
    h, w = x.shape[2:]
    below, right = (2 * ((size + 1) // 2) + 2 for size in out)  # an odd size has a last tile that is half outside
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0], below - pad[0] - h), (pad[1], right - pad[1] - w)))
    return sliding_window_view(padded, (4, 4), axis=(2, 3))[:, :, ::2, ::2]


def _output_tiles(y: NDArray) -> NDArray:
    """tiles[n, k, i, j]: the outputs (2 i .. 2 i + 1, 2 j .. 2 j + 1), zero where there is none."""
    n, k, h, w = y.shape
    even = np.pad(y, ((0, 0), (0, 0), (0, h % 2), (0, w % 2)))
    return even.reshape(n, k, (h + 1) // 2, 2, (w + 1) // 2, 2).transpose(0, 1, 2, 4, 3, 5)


def conv2d_winograd(x: NDArray, weight: NDArray, bias: NDArray | None, pad: Pair) -> NDArray:
    """`conv2d` of 3 x 3 filters, stride and dilation 1, one group, padding 0 to 2."""
    out = x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2
    inputs = _both_sides(B.T, _input_tiles(x, pad, out))
    filters = _both_sides(G, weight)
    products = np.einsum("ncijpq,kcpq->nkijpq", inputs, filters, optimize=True)
    tiles = _both_sides(A.T, products)
    n, k, tiles_h, tiles_w = tiles.shape[:4]
    y = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(n, k, 2 * tiles_h, 2 * tiles_w)[:, :, : out[0], : out[1]]
    return y if bias is None else y + bias[:, None, None]


def conv2d_winograd_backward(dy: NDArray, x: NDArray, weight: NDArray, pad: Pair) -> tuple[NDArray, NDArray, NDArray]:
    """dx is such a convolution too, of dy with the taps in reverse order; dweight goes back through G g G^T:

    dg = G^T [ sum over images and tiles of (B^T d B) * (A dy A^T) ] G
    """
    reversed_taps = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    dx = conv2d_winograd(dy, reversed_taps, None, (2 - pad[0], 2 - pad[1]))
    inputs = _both_sides(B.T, _input_tiles(x, pad, dy.shape[2:]))
    gradients = _both_sides(A, _output_tiles(dy))
    dweight = _both_sides(G.T, np.einsum("ncijpq,nkijpq->kcpq", inputs, gradients, optimize=True))
    return dx, dweight, dy.sum(axis=(0, 2, 3))
