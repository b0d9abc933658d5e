"""The running machine: threads, instruction set, backend. Environment variables are read here, once.

What makes no sense in them is told at the first use of an operation, of `num_threads()` or of `isa()` rather than while
importing, where the `fastnn` command could not answer with a sentence.

FASTNN_NUM_THREADS       threads of every operation (default: OMP_NUM_THREADS, else what the machine grants us)
FASTNN_ISA               baseline, avx2 or avx512: force one instead of the best that the CPU supports
FASTNN_BACKEND           native or reference
FASTNN_CONV2D_ALGORITHM  direct, winograd, winograd24, winograd4 or im2col: for convolutions that leave it open, instead
                         of the cheapest of all but winograd4
"""

import contextlib
import contextvars
import functools
import importlib
import math
import operator
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

_T = TypeVar("_T")

_native: Any = None
try:
    _native = importlib.import_module("fastnn._native")
except ImportError as error:  # pure-Python installation, or a broken build: say so once, and run the reference
    warnings.warn(
        f"fastnn's compiled module is missing ({error}); everything runs on the NumPy reference, some hundred times "
        "slower. Reinstall with a C compiler to get it: pip install --no-binary fastnn fastnn",
        RuntimeWarning,
        stacklevel=3,
    )

_BACKENDS = ("native", "reference")
_DEFAULT_BACKEND = "native" if _native is not None else "reference"
_MOST_THREADS = 4096


@contextlib.contextmanager
def set_within(variable: contextvars.ContextVar[_T], value: _T) -> Iterator[None]:
    """Within the block, `variable` has this value in this thread. Whoever calls has checked it.

    An interrupt can come between any two calls. There is none between `try` and `set`, nor between `finally` and the
    other one; and if it comes in contextlib, the generator is closed when it is dropped.
    """
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)


_environment_error: ValueError | RuntimeError | None = None


def _from_environment(read: Callable[[], _T], otherwise: _T) -> _T:
    """What `read` makes of the environment; `otherwise` if it makes no sense, which `check_environment` will tell."""
    global _environment_error
    try:
        return read()
    except (ValueError, RuntimeError) as error:
        _environment_error = _environment_error or error
        return otherwise


def check_environment() -> None:
    """Raise the error, if there is one, of the environment variables at the time of import.

    Raises:
        ValueError: FASTNN_NUM_THREADS, FASTNN_BACKEND or FASTNN_CONV2D_ALGORITHM is not what it can be.
        RuntimeError: FASTNN_ISA or FASTNN_BACKEND asks for what is not there.
    """
    if _environment_error is not None:
        raise _environment_error.with_traceback(None)  # else it would grow with every call


def _integer(function: str, name: str, value: Any) -> int:
    """`value` as an int. A truth value is none: it would be a mistake for another argument."""
    if not isinstance(value, bool | np.bool_):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise TypeError(f"{function}: {name} must be an integer. Received: {value!r}")


def _truth(function: str, name: str, value: Any) -> bool:
    """`value` as a bool: True, False, 1 or 0. A text or None would be true or false by accident."""
    if isinstance(value, bool | np.bool_ | int | np.integer) and value in (0, 1):
        return bool(value)
    kind = ValueError if isinstance(value, int | np.integer) else TypeError
    raise kind(f"{function}: {name} must be True or False. Received: {value!r}")


def _text(function: str, name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{function}: {name} must be a text. Received: {value!r}")


# ---- threads ---------------------------------------------------------------------------------------------------------
def _quota(folder: Path) -> float:
    """CPUs that one control group grants; infinite without a quota (cgroup v2, then v1)."""
    with contextlib.suppress(OSError, ValueError):
        allowed, period = (folder / "cpu.max").read_text().split()
        return math.inf if allowed == "max" else int(allowed) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int((folder / "cpu.cfs_quota_us").read_text())
        return microseconds / int((folder / "cpu.cfs_period_us").read_text()) if microseconds > 0 else math.inf
    return math.inf


def _cgroup_cpus(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """CPUs that the control groups of this process, from its own up to the root, let it use; infinite without a quota.

    In a container the root is usually its own group already, and the path of the membership does not exist.
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        lines = []
    paths = {controllers: path.lstrip("/") for _, controllers, path in (line for line in lines if len(line) == 3)}
    cpu_path = next((path for controllers, path in paths.items() if "cpu" in controllers.split(",")), "")
    folders = []
    for top, path in ((root, paths.get("", "")), (root / "cpu", cpu_path)):
        folders += [top / path, *(top / parent for parent in Path(path).parents)]
    return min(map(_quota, folders))


def available_threads() -> int:
    """Threads that this process can run at once: its CPU affinity, cut to the quota of its container."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.ceil(min(_cgroup_cpus(), affinity))))


def _threads_from_environment() -> int:
    ours = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if ours:
        number = _thread_number(ours)
        if number is None:
            raise ValueError(f"FASTNN_NUM_THREADS={ours!r}: a number between 1 and {_MOST_THREADS} is needed")
        return number
    # A list is one number for each level of nesting. What does not make sense is ignored, as OpenMP does.
    return _thread_number(os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()) or available_threads()


def _thread_number(text: str) -> int | None:
    """A number of threads; int() itself refuses thousands of digits."""
    number = int(text) if text.isdecimal() and len(text) <= 20 else 0
    return number if 1 <= number <= _MOST_THREADS else None


_n_threads = _from_environment(_threads_from_environment, 1)

# GNU's OpenMP cannot start threads in a child of a process that had some: the child computes on one. This is not empty
# there. No function of ours tells so, in which an exception on its way could arrive, but a method of C.
_forked: list[bool] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=functools.partial(_forked.append, True))


def num_threads() -> int:
    """The number of threads that operations use. In a forked child it is 1.

    Example:
        >>> import fastnn
        >>> fastnn.num_threads() >= 1
        True
    """
    check_environment()
    return 1 if _forked else _n_threads


def set_num_threads(n: int) -> None:
    """Let every operation use up to `n` threads. Results do not depend on it, bit for bit.

    Raises:
        ValueError: n is not between 1 and 4096.
        TypeError: n is not an integer.
    """
    global _n_threads
    n = _integer("set_num_threads", "n", n)
    if not 1 <= n <= _MOST_THREADS:
        raise ValueError(f"set_num_threads: n must be between 1 and {_MOST_THREADS}. Received: {n}")
    _n_threads = n


# ---- instruction set -------------------------------------------------------------------------------------------------
def available_isas() -> list[str]:
    """Names of the instruction sets that were built and that this CPU and its system support, least capable first."""
    if _native is None:
        return []
    supported = _native.isa_supported()
    return [name for name in _native.isa_built() if name in supported]


def isa() -> str:
    """The name of the instruction set whose kernels run, or 'reference' without a compiled module."""
    check_environment()
    return _selected_isa()


def _selected_isa() -> str:
    """Asked of C, which alone keeps it: there are no two places that an interrupt could leave different."""
    return "reference" if _native is None else _native.isa_selected()


def set_isa(name: str) -> None:
    """Run the kernels of instruction set `name`.

    Raises:
        RuntimeError: `name` was not built, or this CPU or its operating system lacks it.
        TypeError: `name` is not a text.
    """
    _select_isa("set_isa", _text("set_isa", "name", name))


def _select_isa(where: str, name: str) -> None:
    if _native is None:
        raise RuntimeError(f"{where}: the compiled module is missing")
    built, available = _native.isa_built(), available_isas()
    if name not in _native.ISA_NAMES:
        raise RuntimeError(f"{where}: unknown instruction set {name!r}: choose from {', '.join(_native.ISA_NAMES)}")
    if name not in built:
        raise RuntimeError(f"{where}: instruction set {name!r} is not in this build, which has {', '.join(built)}")
    if name not in available:
        raise RuntimeError(f"{where}: this CPU or its operating system lacks {name!r}; it has {', '.join(available)}")
    _native.isa_select(name)


def _isa_from_environment() -> None:
    if _native is None:
        return
    _native.isa_select(available_isas()[-1])
    requested = os.environ.get("FASTNN_ISA", "")
    if requested:
        _select_isa(f"FASTNN_ISA={requested!r}", requested)


_from_environment(_isa_from_environment, None)


# ---- backend ---------------------------------------------------------------------------------------------------------
def _backend_from_environment() -> str:
    name = os.environ.get("FASTNN_BACKEND", "")
    if name:
        _check_backend(f"FASTNN_BACKEND={name!r}", name)
    return name or _DEFAULT_BACKEND


def _check_backend(where: str, name: str) -> None:
    if name not in _BACKENDS:
        raise ValueError(f"{where}: unknown backend {name!r}: choose 'native' or 'reference'")
    if name == "native" and _native is None:
        raise RuntimeError(f"{where}: the compiled module is missing: only the 'reference' backend can run")


_first_backend = _from_environment(_backend_from_environment, _DEFAULT_BACKEND)
# Each thread has its own, and starts with this one.
_backend: contextvars.ContextVar[str] = contextvars.ContextVar("fastnn_backend", default=_first_backend)


def backend(name: str) -> contextlib.AbstractContextManager[None]:
    """Within the block, run every operation in C ('native') or as its readable NumPy twin ('reference').

    It can also decorate a function, and then holds within each of its calls.

    Raises:
        ValueError: there is no such backend.
        RuntimeError: the compiled module is missing.
        TypeError: `name` is not a text.
    Example:
        >>> import numpy as np, fastnn
        >>> x = np.array([-1.0, 2.0])
        >>> with fastnn.backend("reference"):
        ...     fastnn.functional.relu(x)
        array([0., 2.])
    """
    _check_backend("backend", _text("backend", "name", name))
    return set_within(_backend, name)


def uses_reference() -> bool:
    """Whether operations run as their NumPy twins. Every operation asks."""
    check_environment()
    return _backend.get() == "reference"


# ---- joined layers ---------------------------------------------------------------------------------------------------
_joins_layers: contextvars.ContextVar[bool] = contextvars.ContextVar("fastnn_joins_layers", default=True)


def joined_layers(on: bool) -> contextlib.AbstractContextManager[None]:
    """Within the block, containers compute some neighbours, such as batch norm and ReLU, in one pass, or do not.

    Results are the same, bit for bit. It is on by default; without it every layer runs on its own, and what
    goes from one to the next can be looked at. It can also decorate a function.

    Raises:
        TypeError, ValueError: `on` is neither True nor False.
    Example:
        >>> import numpy as np, fastnn
        >>> model = fastnn.nn.Sequential(fastnn.nn.BatchNorm1d(2), fastnn.nn.ReLU())
        >>> with fastnn.joined_layers(False):
        ...     y = model(np.array([[1.0, 4.0], [3.0, 2.0]], np.float32))
    """
    return set_within(_joins_layers, _truth("joined_layers", "on", on))


def joins_layers() -> bool:
    """Whether containers may compute neighbours together."""
    return _joins_layers.get()


# ---- the algorithm of convolutions -----------------------------------------------------------------------------------
CONV2D_ALGORITHMS = ("auto", "direct", "winograd", "winograd24", "winograd4", "im2col")


def _check_conv2d_algorithm(where: str, name: str) -> None:
    if name not in CONV2D_ALGORITHMS:
        raise ValueError(f"{where}: unknown algorithm {name!r}: choose from {', '.join(CONV2D_ALGORITHMS)}")


def _conv2d_algorithm_from_environment() -> str:
    name = os.environ.get("FASTNN_CONV2D_ALGORITHM", "") or "auto"
    _check_conv2d_algorithm(f"FASTNN_CONV2D_ALGORITHM={name!r}", name)
    return name


_first_conv2d_algorithm = _from_environment(_conv2d_algorithm_from_environment, "auto")
_conv2d_algorithm: contextvars.ContextVar[str] = contextvars.ContextVar(
    "fastnn_conv2d_algorithm", default=_first_conv2d_algorithm
)


def conv2d_algorithm(name: str) -> contextlib.AbstractContextManager[None]:
    """Within the block, compute convolutions by the algorithm `name` where they leave it open (algorithm='auto').

    A convolution that the algorithm cannot do is computed by 'direct'. With 'auto' the cheaper one is taken. On the
    reference backend there is no preference: what leaves it open is computed by the definition. It can also decorate a
    function.

    Raises:
        ValueError: there is no such algorithm; see `functional.conv2d`.
        TypeError: `name` is not a text.
    Example:
        >>> import numpy as np, fastnn
        >>> x, weight = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
        >>> with fastnn.conv2d_algorithm("winograd"):
        ...     fastnn.functional.conv2d(x, weight)[0, 0]
        array([[9., 9.],
               [9., 9.]])
    """
    _check_conv2d_algorithm("conv2d_algorithm", _text("conv2d_algorithm", "name", name))
    return set_within(_conv2d_algorithm, name)


def preferred_conv2d_algorithm() -> str:
    """What convolutions that leave their algorithm open should take; 'auto' for the cheaper one."""
    return _conv2d_algorithm.get()


def choices() -> tuple[str, str, int, str]:
    """What decides, besides its arguments, how an operation is computed."""
    if _environment_error is not None:
        check_environment()
    name = _backend.get()
    isa_of_kernels = name if name == "reference" else _selected_isa()
    return _conv2d_algorithm.get(), isa_of_kernels, 1 if _forked else _n_threads, name


# ---- denormals -------------------------------------------------------------------------------------------------------
def set_flush_denormal(on: bool) -> None:
    """Treat denormal numbers as zero inside the C kernels (on by default: they can be a hundred times slower).

    The floating-point mode of the calling thread is restored when an operation returns.

    Raises:
        TypeError, ValueError: `on` is neither True nor False.
    """
    on = _truth("set_flush_denormal", "on", on)
    if _native is not None:
        _native.set_flush_denormals(on)


# ---- information -----------------------------------------------------------------------------------------------------
def build_info() -> dict[str, Any]:
    """What was built, what this CPU has, and what runs.

    Example:
        >>> import fastnn
        >>> sorted(fastnn.build_info())
        ['available_isas', 'backend', 'built_isas', 'compiled', 'conv2d_algorithm', 'isa', 'openmp', 'threads',
         'version']
    """
    from fastnn._version import __version__

    return {
        "version": __version__,
        "compiled": _native is not None,
        "built_isas": _native.isa_built() if _native is not None else [],
        "available_isas": available_isas(),
        "isa": isa(),
        "openmp": _native.openmp_version() if _native is not None else 0,
        "threads": num_threads(),
        "backend": _backend.get(),
        "conv2d_algorithm": _conv2d_algorithm.get(),
    }
