"""Random operations whose workspaces end at pages without rights: `python guarded_workspaces.py KIND SEED CASES`.

Arenas hide from sanitizers what leaves a workspace. Here each is mapped by itself, between two pages without rights, of
exactly the size that the operation asked for; one byte before or behind it, read or written, ends the process.
"""

import ctypes
import mmap
import sys

import numpy as np

import fastnn
from fastnn import _memory, nn
from fastnn import functional as F
from fastnn.autograd import products
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS

ALIGNMENT, PAGE = 64, mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_maps = []  # as long as the process: their memory must not be given to others


def guarded(n_bytes):
    """A workspace of so many bytes, rounded up to the alignment, that ends at a page without rights."""
    size = -(-max(n_bytes, 1) // ALIGNMENT) * ALIGNMENT
    inner = -(-size // PAGE) * PAGE
    block = mmap.mmap(-1, inner + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for page in (start, start + PAGE + inner):
        if _libc.mprotect(ctypes.c_void_p(page), PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    _maps.append(block)
    array = np.frombuffer(block, np.uint8, inner, PAGE)[inner - size :]
    array.fill(0xA5)
    return array


def a_convolution(rng):
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    kernel = tuple(int(k) for k in rng.integers(1, 6, 2))
    dilation = tuple(int(d) for d in rng.integers(1, 3, 2))
    stride = tuple(int(s) for s in rng.integers(1, 4, 2))
    pad = tuple(int(p) for p in rng.integers(0, 4, 2))
    algorithm = str(rng.choice(["direct", "direct", "im2col", "winograd", "winograd24", "winograd4"]))
    if algorithm in WINOGRAD_OUTPUTS:
        groups, kernel, dilation, stride, pad = 1, (3, 3), (1, 1), (1, 1), tuple(int(p) for p in rng.integers(0, 3, 2))
    depthwise = algorithm not in WINOGRAD_OUTPUTS and rng.random() < 0.2
    c_in, c_out = (int(c) * groups for c in rng.choice([1, 2, 3, 5, 16, 17, 33, 64, 70], 2))
    if depthwise:
        groups = c_out = c_in
    n = int(rng.choice([1, 2, 3, 7, 16, 40]))
    image = [int((k - 1) * d + 1 + rng.integers(0, 12)) for k, d in zip(kernel, dilation, strict=True)]
    x = rng.standard_normal((n, c_in, *image)).astype(dtype_of(rng))
    weight = rng.standard_normal((c_out, c_in // groups, *kernel)).astype(x.dtype)
    bias = rng.standard_normal(c_out).astype(x.dtype) if rng.random() < 0.5 else None
    settings = {"stride": stride, "padding": pad, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    yield x.shape, weight.shape, settings
    y = F.conv2d(x, weight, bias, **settings)
    F.conv2d_backward(y, x, weight, need_dbias=bias is not None, **settings)


def a_norm(rng):
    n, c = (int(size) for size in rng.choice([1, 2, 3, 16, 33, 100], 2))
    shape = (n, 2 * c, int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    x = rng.standard_normal(shape).astype(dtype_of(rng))
    yield x.shape
    layers = [
        nn.GroupNorm(2, 2 * c), nn.LocalResponseNorm(int(rng.integers(1, 12))),
        nn.PReLU(2 * c), nn.PReLU(), nn.LayerNorm(x.shape[1:]),
    ]  # fmt: skip
    if x.size > x.shape[1]:
        layers.append(nn.BatchNorm2d(2 * c))
    for layer in layers:
        layer.astype(x.dtype)
        layer.backward(layer.forward(x))
        layer.eval().forward(x)


def a_product(rng):
    sizes = [int(size) for size in rng.choice([1, 2, 7, 16, 33, 64, 130, 300], 3)]
    a = rng.standard_normal(sizes[:2]).astype(dtype_of(rng))
    b = rng.standard_normal(sizes[1:]).astype(a.dtype)
    yield a.shape, b.shape
    products.product(a, b)
    products.product_transposed(a, np.ascontiguousarray(b.T))
    products.transposed_product(np.ascontiguousarray(a.T), b)


def an_attention(rng):
    n, heads, queries, keys = (int(size) for size in rng.choice([1, 2, 3, 16, 97, 130], 4))
    features, values = (int(size) for size in rng.choice([1, 3, 16, 40, 65], 2))
    shapes = (queries, features), (keys, features), (keys, values)
    arrays = [rng.standard_normal((min(n, 3), min(heads, 3), *shape)).astype(np.float32) for shape in shapes]
    dtype, is_causal = dtype_of(rng), bool(rng.random() < 0.3)
    yield [x.shape for x in arrays]
    tensors = [fastnn.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    F.scaled_dot_product_attention(*tensors, is_causal=is_causal).sum().backward()


def dtype_of(rng):
    return np.float32 if rng.random() < 0.6 else np.float64


KINDS = {"convolution": a_convolution, "norm": a_norm, "product": a_product, "attention": an_attention}


def main(kind, seed, cases):
    _memory.workspace = guarded
    rng = np.random.default_rng(seed)
    for case in range(cases):
        isa, threads = str(rng.choice(fastnn.available_isas())), int(rng.integers(1, 6))
        steps = KINDS[kind](rng)
        with fastnn.isa(isa), fastnn.num_threads(threads):
            print(case, isa, threads, next(steps), flush=True)  # before it may end the process
            for _ in steps:
                pass
        while len(_maps) > 500:
            _maps.pop(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
