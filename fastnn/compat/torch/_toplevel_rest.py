"""What torch has at top level beside tensors and their functions: modes, settings, files, and its modules."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn.autograd.modes import is_grad_enabled
from fastnn.compat.notes import note
from fastnn.compat.torch._creation import TYPED
from fastnn.compat.torch._device import check_device, device
from fastnn.compat.torch._dtype import numpy_dtype, set_default_dtype, torch_dtype
from fastnn.compat.torch._errors import AcceleratorError, OutOfMemoryError
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._printing import set_printoptions
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.amp import GradScaler, autocast
from fastnn.compat.torch.autograd.anomaly_mode import is_anomaly_enabled
from fastnn.compat.torch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from fastnn.compat.torch.serialization import load, save
from fastnn.compat.torch.torch_version import __version__

__all__ = [
    "AcceleratorError",
    "GradScaler",
    "OutOfMemoryError",
    "__getattr__",
    "__version__",
    "adjoint",
    "are_deterministic_algorithms_enabled",
    "autocast",
    "channels_last_3d",
    "compile",
    "conj",
    "detach",
    "detach_",
    "enable_grad",
    "fill_",
    "from_dlpack",
    "frombuffer",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_device",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "inference_mode",
    "is_anomaly_enabled",
    "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_grad_enabled",
    "is_inference",
    "is_inference_mode_enabled",
    "is_same_size",
    "is_signed",
    "is_storage",
    "is_warn_always_enabled",
    "layout",
    "load",
    "memory_format",
    "no_grad",
    "real",
    "resolve_conj",
    "resolve_neg",
    "save",
    "set_default_device",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_grad_enabled",
    "set_num_interop_threads",
    "set_num_threads",
    "set_printoptions",
    "set_warn_always",
    "trapezoid",
    "trapz",
    "typename",
    "use_deterministic_algorithms",
    "zero_",
]

_THEIRS = __name__.rpartition(".")[0]

# For annotations: `torch.memory_format`, `torch.layout`.
layout = memory_format = str
channels_last_3d = "channels_last_3d"


# ---- threads ---------------------------------------------------------------------------------------------------------
def set_num_threads(int: int) -> None:
    """Let operations use up to so many threads; results do not depend on it."""
    fastnn.set_num_threads(int)


def get_num_threads() -> int:
    """How many threads operations use at most."""
    return fastnn.num_threads()


_interop = 1


def set_num_interop_threads(int: int) -> None:
    """Keep the number: operations run one after the other here."""
    global _interop
    if int <= 0:
        raise RuntimeError("Expected positive number of threads")
    _interop = int


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` got."""
    return _interop


# ---- settings --------------------------------------------------------------------------------------------------------
_settings: dict[str, Any] = {"deterministic": 0, "precision": "highest", "warn_always": False}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Keep the setting: fastnn's results never depend on chance or on the number of threads."""
    _settings["deterministic"] = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` got."""
    return bool(_settings["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` got."""
    return bool(_settings["deterministic"] == 1)


_DEBUG_MODES = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Keep the setting, "default", "warn", "error" or its number."""
    number = _DEBUG_MODES.index(debug_mode) if debug_mode in _DEBUG_MODES else debug_mode
    if number not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected one of {', '.join(_DEBUG_MODES)}, but got {number}")
    _settings["deterministic"] = number


def get_deterministic_debug_mode() -> int:
    """The setting as a number."""
    return int(_settings["deterministic"])


def set_float32_matmul_precision(precision: str) -> None:
    """Keep the setting: float32 is always computed in float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision!r} is not one of 'highest', 'high', 'medium'")
    _settings["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` got."""
    return str(_settings["precision"])


def set_warn_always(b: bool, /) -> None:
    """Keep the setting: notes are said once."""
    _settings["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` got."""
    return bool(_settings["warn_always"])


def set_flush_denormal(mode: bool) -> bool:
    """Whether denormal numbers can be flushed to zero: no, they are computed with."""
    return False


def set_default_device(device: Any) -> None:
    """Take the name of a device: it is the CPU."""
    check_device(device)


def get_default_device() -> device:
    """The CPU."""
    return device()


def set_default_tensor_type(t: Any, /) -> None:
    """Let floats be of the dtype of `torch.FloatTensor`, `torch.DoubleTensor`, or of one of these names."""
    name = t if isinstance(t, str) else getattr(t, "__name__", "")
    if ".cuda." in name:
        check_device("cuda")
    for numpy, kind in TYPED.items():
        if kind.__name__ == name.rpartition(".")[2] and numpy.kind == "f":
            set_default_dtype(torch_dtype(numpy))
            return
    raise TypeError(f"set_default_tensor_type: torch.FloatTensor or torch.DoubleTensor is needed. Received: {t!r}")


# ---- what something is -----------------------------------------------------------------------------------------------
def typename(obj: Any, /) -> str:
    """The name of its type: "torch.FloatTensor" of a tensor."""
    if isinstance(obj, Tensor):
        return str(obj.type())  # type: ignore[attr-defined]
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "") or ""
    module = module.replace(_THEIRS, "torch", 1)
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"


def is_storage(obj: Any, /) -> bool:
    """Whether it is the memory of a tensor without its shape: there are no such objects here."""
    return False


def is_inference(input: Any) -> bool:
    """Whether it was made within `inference_mode`: tensors made there are ordinary ones here."""
    return False


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether operations choose their dtypes: no."""
    return False


# ---- tensors by other names ------------------------------------------------------------------------------------------
def detach(input: Any) -> Any:
    """`input.detach()`"""
    return input.detach()


def detach_(input: Any) -> Any:
    """`input.detach_()`"""
    return input.detach_()


def zero_(input: Any) -> Any:
    """`input.zero_()`"""
    return input.zero_()


def fill_(input: Any, value: Any) -> Any:
    """`input.fill_(value)`"""
    return input.fill_(value)


def real(input: Any) -> Any:
    """The tensor itself: numbers are real."""
    return input


conj = resolve_conj = resolve_neg = real


def adjoint(input: Any) -> Any:
    """The last two axes exchanged: numbers are real."""
    return input.mT


def get_device(input: Any) -> int:
    """-1: it is on the CPU."""
    return -1


def is_same_size(input: Any, other: Any) -> bool:
    """Whether both have one shape."""
    return bool(input._data.shape == other._data.shape)


def is_signed(input: Any) -> bool:
    """Whether its dtype has negative numbers."""
    return input._data.dtype.kind in "fi"


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor with the memory of an array of another library, on the CPU."""
    check_device(device)
    array = np.from_dlpack(ext_tensor)
    return new(array.copy() if copy or not array.flags.writeable else array)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor with the memory of a buffer, such as bytes."""
    x = new(np.frombuffer(buffer, numpy_dtype(dtype), count, offset))
    x.requires_grad = requires_grad
    return x


def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along an axis, by the trapezoidal rule."""
    n = y._data.shape[dim]
    means = (y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)) / 2
    if x is None:
        return (means * dx).sum(dim)
    steps = x.diff(dim=dim if x._data.ndim == y._data.ndim else -1)
    if steps._data.ndim != means._data.ndim:
        steps = steps.reshape(-1, *[1] * (means._data.ndim - 1 - dim % means._data.ndim))
    return (means * steps).sum(dim)


trapz = trapezoid


# ---- compile ---------------------------------------------------------------------------------------------------------
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: Any = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """The model or function itself, which runs as it is; its state_dict has no `_orig_mod.`."""
    note("torch.compile: models and functions run as they are")
    return _as_it_is if model is None else model


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


# ---- what is in modules, and what is nowhere -------------------------------------------------------------------------
_MODULES = (
    "_C", "accelerator", "amp", "autograd", "backends", "compiler", "cpu", "cuda", "distributed", "distributions",
    "fft", "func", "fx", "hub", "jit", "linalg", "mps", "multiprocessing", "nested", "nn", "onnx", "optim", "profiler",
    "quantization", "random", "serialization", "sparse", "special", "testing", "torch_version", "types", "utils",
    "version", "xpu",
)  # fmt: skip
# Those whose arguments come in the order that they have at top level.
_OF_NN = (
    "adaptive_avg_pool1d", "alpha_dropout", "avg_pool1d", "bilinear", "celu", "celu_", "channel_shuffle", "conv1d",
    "conv2d", "conv_transpose1d", "conv_transpose2d", "dropout", "group_norm", "layer_norm", "max_pool1d",
    "max_pool2d", "pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle", "prelu", "rms_norm", "rrelu",
    "rrelu_", "selu", "selu_", "threshold_",
)  # fmt: skip
_QUANTIZED = "use torch.float32: fastnn computes in floats"
_THREE = "use the two-dimensional function on one slice at a time"
_SPARSE = "tensors are dense here: use torch.zeros and assign by index"

__getattr__ = missing(
    "torch",
    {
        "batch_norm": "use torch.nn.functional.batch_norm, whose arguments come in another order",
        "embedding": "use torch.nn.functional.embedding, whose arguments come in another order",
        "instance_norm": "use torch.nn.functional.instance_norm, whose arguments come in another order",
        "conv3d": _THREE,
        "conv_transpose3d": _THREE,
        "max_pool3d": _THREE,
        "quantize_per_channel": _QUANTIZED,
        "quantize_per_tensor": _QUANTIZED,
        "sparse_coo_tensor": _SPARSE,
        "sparse_csr_tensor": _SPARSE,
        "export": "run the script as it is, or save its weights",
        "stft": "use scipy.signal.stft on x.numpy()",
        "complex": "keep real and imaginary parts in two tensors",
        "range": "use torch.arange(start, end + 1)",
        "view_as_complex": "keep real and imaginary parts in two tensors",
        "view_as_real": "numbers are real",
        "vmap": "use a batch axis, or a loop and torch.stack",
    },
    modules=_MODULES,
    elsewhere={
        **dict.fromkeys(_OF_NN, "torch.nn.functional"),
        **dict.fromkeys(("Event", "Stream"), "torch.cuda"),
        "vander": "torch.linalg",
    },
)
