"""The types of the compiled module. Arrays of one call have one dtype; their layouts are checked when it runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Real = NDArray[np.float32] | NDArray[np.float64]
_Taps = NDArray[np.uint8] | NDArray[np.int32]
_Pair = tuple[int, int]
_Shape = tuple[int, int, int, int]

ISA_NAMES: tuple[str, ...]
ACTIVATIONS: dict[str, int]

# machine
def isa_built() -> list[str]: ...
def isa_supported() -> list[str]: ...
def isa_select(name: str, /) -> None: ...
def isa_selected() -> str: ...
def openmp_version() -> int: ...
def threads_that_can_be_made(n: int, /) -> int: ...
def record_tasks(
    call: Callable[[Callable[[object], None]], object],
    numbers: NDArray[np.float64],
    ends: list[tuple[int, object]],
    /,
) -> int: ...
def schedule_rule() -> tuple[float, int, int]: ...
def empty_regions(count: int, n_threads: int, /) -> None: ...
def set_flush_denormals(on: bool, /) -> None: ...
def get_flush_denormals() -> bool: ...
def fma_peak(iterations: int, sums: _Real, flops: NDArray[np.float64], n_threads: int, /) -> None: ...

# memory
PAGE_SIZE: int

class Block:
    """`n_bytes` of memory, aligned to 64 bytes, for `numpy.ndarray(shape, dtype, buffer=block)`."""

    def __new__(cls, n_bytes: int) -> Block: ...

class Arena:
    """Memory in pieces, each of them held by a `Lease`."""

    def __new__(cls, least_segment: int) -> Arena: ...
    def release(self) -> None: ...
    def counts(self) -> tuple[int, int, int]: ...
    def segments(self) -> dict[int, int]: ...
    def holes(self) -> list[tuple[int, int, int, int]]: ...

class Lease:
    """A piece of `arena`, for `numpy.ndarray(shape, dtype, buffer=lease)`; it returns when the lease is gone."""

    def __new__(cls, arena: Arena, n_bytes: int) -> Lease: ...
    @property
    def piece(self) -> tuple[int, int, int]: ...

# layout
def layout_transpose(x: _Real, out: _Real, n_threads: int, /) -> None: ...

# conv2d
CONV2D_ALGORITHMS: tuple[str, ...]
CONV2D_DIRECTIONS: tuple[str, ...]
CONV2D_WAYS: tuple[str, ...]

class Conv2dPlan:
    """How one direction of a convolution is computed, on arrays of these shapes and one dtype, by so many threads."""

    def __new__(
        cls,
        direction: str,
        dtype: np.dtype,
        x: _Shape,
        taps: _Shape,
        y: _Shape,
        stride: _Pair,
        pad: _Pair,
        dilation: _Pair,
        groups: int,
        algorithm: str,
        n_threads: int,
        isa: str | None = None,
    ) -> Conv2dPlan: ...
    @property
    def direction(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def way(self) -> str: ...
    @property
    def taps(self) -> _Shape: ...
    @property
    def groups(self) -> int: ...
    @property
    def winograd(self) -> float: ...
    @property
    def winograd24(self) -> float: ...
    @property
    def workspace(self) -> int: ...

def conv2d_forward(
    plan: Conv2dPlan,
    x: _Real,
    weight: _Real,
    bias: _Real | None,
    y: _Real,
    workspace: NDArray[np.uint8],
    /,
) -> None: ...
def conv2d_norm_forward(
    plan: Conv2dPlan,
    x: _Real,
    weight: _Real,
    bias: _Real | None,
    mean: _Real,
    variance: _Real,
    norm_weight: _Real | None,
    norm_bias: _Real | None,
    eps: float,
    then: str | None,
    residual: _Real | None,
    y: _Real,
    workspace: NDArray[np.uint8],
    /,
) -> None: ...
def conv2d_backward_data(
    plan: Conv2dPlan,
    dy: _Real,
    weight: _Real,
    addend: _Real | None,
    dx: _Real,
    workspace: NDArray[np.uint8],
    /,
) -> None: ...
def conv2d_backward_weight(
    plan: Conv2dPlan,
    x: _Real,
    dy: _Real,
    dweight: _Real,
    dbias: _Real | None,
    workspace: NDArray[np.uint8],
    /,
) -> None: ...

# im2col
def im2col(
    x: _Real,
    columns: _Real,
    image: tuple[int, int, int, int],
    out: _Pair,
    kernel: _Pair,
    stride: _Pair,
    pad: _Pair,
    dilation: _Pair,
    n_threads: int,
    /,
) -> None: ...
def col2im(
    columns: _Real,
    x: _Real,
    image: tuple[int, int, int, int],
    out: _Pair,
    kernel: _Pair,
    stride: _Pair,
    pad: _Pair,
    dilation: _Pair,
    n_threads: int,
    /,
) -> None: ...

# activation
def activation_forward(name: str, first: float, second: float, x: _Real, y: _Real, n_threads: int, /) -> None: ...
def activation_backward(
    name: str,
    first: float,
    second: float,
    dy: _Real,
    kept: _Real,
    dx: _Real,
    n_threads: int,
    /,
) -> None: ...
def prelu_forward(x: _Real, weight: _Real, y: _Real, n_threads: int, /) -> None: ...
def prelu_backward_workspace(rows: int, channels: int, weights: int, /) -> int: ...
def prelu_backward(
    dy: _Real,
    x: _Real,
    weight: _Real,
    dx: _Real,
    dweight: _Real,
    workspace: _Real,
    n_threads: int,
    /,
) -> None: ...

# add
def add(a: _Real, b: _Real, y: _Real, n_threads: int, /) -> None: ...

# arithmetic
ARITHMETIC: dict[str, int]

def arithmetic(kind: int, a: _Real, b: _Real, y: _Real, inner: int, n_threads: int, /) -> None: ...

# sum_rows
def sum_rows_workspace(rows: int, columns: int, /) -> int: ...
def sum_rows(x: _Real, y: _Real, workspace: NDArray[np.uint8], n_threads: int, /) -> None: ...

# join_rows
def join_rows(cuts: bool, parts: list[_Real], whole: _Real, n_threads: int, /) -> None: ...

# matmul
MATMUL: dict[str, int]

def matmul(kind: int, a: _Real, b: _Real, transposed: _Real | None, y: _Real, n_threads: int, /) -> None: ...

# attention
def attention_workspace(dtype: str, backward: bool, q: _Shape, k: _Shape, v: _Shape, n_threads: int, /) -> int: ...
def attention_forward(
    q: _Real,
    k: _Real,
    v: _Real,
    scale: float,
    causal: bool,
    y: _Real,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...
def attention_backward(
    dy: _Real,
    q: _Real,
    k: _Real,
    v: _Real,
    scale: float,
    causal: bool,
    dq: _Real,
    dk: _Real,
    dv: _Real,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...

# softmax
def softmax_forward(log: bool, x: _Real, y: _Real, n_threads: int, /) -> None: ...
def softmax_backward(log: bool, dy: _Real, y: _Real, dx: _Real, n_threads: int, /) -> None: ...

# maxpool2d
def maxpool2d_forward(
    x: _Real,
    y: _Real,
    taps: _Taps | None,
    begin_h: NDArray[np.intp],
    entries_h: NDArray[np.intp],
    begin_w: NDArray[np.intp],
    entries_w: NDArray[np.intp],
    taps_w: int,
    n_threads: int,
    /,
) -> None: ...
def maxpool2d_backward(
    dy: _Real,
    taps: _Taps,
    dx: _Real,
    begin_h: NDArray[np.intp],
    entries_h: NDArray[np.intp],
    begin_w: NDArray[np.intp],
    entries_w: NDArray[np.intp],
    taps_w: int,
    n_threads: int,
    /,
) -> None: ...

# avgpool2d
def avgpool2d_forward(
    x: _Real,
    y: _Real,
    begin_h: NDArray[np.intp],
    entries_h: NDArray[np.intp],
    begin_w: NDArray[np.intp],
    entries_w: NDArray[np.intp],
    divisor_h: NDArray[np.intp],
    divisor_w: NDArray[np.intp],
    n_threads: int,
    /,
) -> None: ...
def avgpool2d_backward(
    dy: _Real,
    dx: _Real,
    begin_h: NDArray[np.intp],
    entries_h: NDArray[np.intp],
    begin_w: NDArray[np.intp],
    entries_w: NDArray[np.intp],
    divisor_h: NDArray[np.intp],
    divisor_w: NDArray[np.intp],
    n_threads: int,
    /,
) -> None: ...

# batchnorm
def batchnorm_fits(x: object, values: tuple[object, ...], images: tuple[object, ...], /) -> bool: ...
def batchnorm_workspace(rows: int, channels: int, is_double: bool, /) -> int: ...
def batchnorm_constants(
    running_mean: _Real,
    running_variance: _Real,
    eps: float,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    /,
) -> None: ...
def batchnorm_training(
    x: _Real,
    eps: float,
    momentum: float,
    running_mean: _Real | None,
    running_variance: _Real | None,
    weight: _Real | None,
    bias: _Real | None,
    then: str | None,
    residual: _Real | None,
    statistics: NDArray[np.float64],
    moved_mean: _Real | None,
    moved_variance: _Real | None,
    y: _Real | None,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...
def batchnorm_forward(
    x: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    weight: _Real | None,
    bias: _Real | None,
    then: str | None,
    residual: _Real | None,
    y: _Real,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...
def batchnorm_backward(
    dy: _Real,
    x: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    weight: _Real | None,
    bias: _Real | None,
    then: str | None,
    y: _Real | None,
    training: bool,
    dx: _Real | None,
    dresidual: _Real | None,
    dweight: _Real,
    dbias: _Real,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...

# layernorm
def layernorm_forward(
    x: _Real,
    weight: _Real | None,
    bias: _Real | None,
    eps: float,
    y: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    n_threads: int,
    /,
) -> None: ...
def layernorm_backward_workspace(x: _Real, need_dweight: bool, /) -> int: ...
def layernorm_backward(
    dy: _Real,
    x: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    weight: _Real | None,
    dx: _Real | None,
    dweight: _Real | None,
    dbias: _Real | None,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...

# groupnorm
def groupnorm_workspace(x: _Real, groups: int, /) -> int: ...
def groupnorm_forward(
    x: _Real,
    weight: _Real | None,
    bias: _Real | None,
    eps: float,
    y: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...
def groupnorm_backward(
    dy: _Real,
    x: _Real,
    mean: NDArray[np.float64],
    invstd: NDArray[np.float64],
    weight: _Real | None,
    dx: _Real | None,
    dweight: _Real,
    dbias: _Real,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...

# local_response_norm
def local_response_norm_workspace(x: _Real, size: int, n_threads: int, /) -> int: ...
def local_response_norm_forward(
    x: _Real,
    y: _Real,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...
def local_response_norm_backward(
    dy: _Real,
    x: _Real,
    dx: _Real,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    workspace: NDArray[np.uint8],
    n_threads: int,
    /,
) -> None: ...

# dropout
def dropout(x: _Real, y: _Real, key: int, threshold: int, scale: float, n_threads: int, /) -> None: ...
def dropout_channels(x: _Real, factors: _Real, y: _Real, n_threads: int, /) -> None: ...

# cross_entropy
def cross_entropy(
    x: _Real,
    labels: NDArray[np.int64] | None,
    probabilities: _Real | None,
    class_weight: _Real | None,
    ignore_index: int,
    label_smoothing: float,
    mean: bool,
    losses: NDArray[np.float64],
    dx: _Real,
    n_threads: int,
    /,
) -> float: ...

# optimizer
class ParameterStep:
    is_double: bool
    kind: str
    def __init__(
        self,
        kind: str,
        settings: dict[str, Any] | float,
        w: _Real,
        g: _Real,
        first: _Real | None,
        second: _Real | None,
        third: _Real | None,
    ) -> None: ...

def optimizer_step(steps: list[ParameterStep], n_threads: int, /) -> None: ...
def sum_of_squares(x: _Real, n_threads: int, /) -> float: ...

# augment
def augment_batch(
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    shifts: NDArray[np.int64],
    flips: NDArray[np.uint8],
    boxes: NDArray[np.int64],
    table: _Real,
    fill: _Real,
    out: _Real,
    reflect: bool,
    n_threads: int,
    /,
) -> None: ...
def warp_batch(x: _Real, maps: _Real, fill: float, out: _Real, n_threads: int, /) -> None: ...
