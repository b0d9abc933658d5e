"""Settings of the running process: threads, instruction set, backend, convolution algorithm, joined layers.

Each setting has an environment variable, which is read once, here. Within a `with` block, or in a function that is
decorated, another value holds. Threads and instruction set can also be set for the whole process. An invalid value in
the environment raises an error at the first use of an operation or of the setting. It does not while importing, so
that the `fastnn` command can report it in one sentence.

FASTNN_NUM_THREADS       threads of every operation (default: OMP_NUM_THREADS, else what the machine grants us)
FASTNN_ISA               baseline, avx2, avx512 or neon: force one instead of the best that the CPU supports
FASTNN_BACKEND           native or reference
FASTNN_CONV2D_ALGORITHM  direct, winograd, winograd24, winograd4 or im2col: for convolutions with algorithm='auto',
                         instead of the cheapest of all but winograd4
FASTNN_JOINED_LAYERS     1 or 0: whether containers compute some neighbouring layers in one pass
"""

import contextlib
import functools
import importlib
import operator
import os
import warnings
from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from fastnn import _setting, _system
from fastnn._cpus import available_threads
from fastnn._setting import NOW, Setting, check_environment, from_environment

_system.check_integers(np.dtype(int).itemsize)
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
_MOST_THREADS = 4096
CONV2D_ALGORITHMS = ("auto", "direct", "winograd", "winograd24", "winograd4", "im2col")
Block = contextlib.AbstractContextManager[None]


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
def _check_threads(where: str, value: Any) -> int:
    if isinstance(value, str) and "=" in where:  # of the environment
        number = _thread_number(value)
        if number is None:
            raise ValueError(f"{where}: a number between 1 and {_MOST_THREADS} is needed")
        return _makeable(where, number)
    n = _integer(where, "n", value)
    if not 1 <= n <= _MOST_THREADS:
        raise ValueError(f"{where}: n must be between 1 and {_MOST_THREADS}. Received: {n}")
    return _makeable(where, n)


def _makeable(where: str, n: int) -> int:
    """n, if the system can make so many threads: one for each processor it always can."""
    if _native is not None and n > available_threads():
        made = 1 + _native.threads_that_can_be_made(n - 1)
        if made < n:
            raise RuntimeError(f"{where}: the system makes {made} threads at most (memory, `ulimit -u`, `ulimit -v`)")
    return n


def _thread_number(text: str) -> int | None:
    """A number of threads; int() itself refuses thousands of digits."""
    number = int(text) if text.isdecimal() and len(text) <= 20 else 0
    return number if 1 <= number <= _MOST_THREADS else None


def _default_threads() -> int:
    # A list is one number for each level of nesting. What does not make sense is ignored, as OpenMP does.
    return _thread_number(os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()) or available_threads()


_THREADS = Setting("num_threads", "FASTNN_NUM_THREADS", _check_threads, _default_threads())
# GNU's OpenMP cannot start threads in a child of a process that had some: the child computes on one. This is not empty
# there. No function of ours tells so, in which an exception on its way could arrive, but a method of C.
_forked: list[bool] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=functools.partial(_forked.append, True))


@overload
def num_threads() -> int: ...
@overload
def num_threads(n: int) -> Block: ...
def num_threads(n: Any = NOW) -> Any:
    """The number of threads that operations use; or, with an argument, a block in which this thread uses n threads.

    `with num_threads(n):` holds within the block; `@num_threads(n)` holds in a function. Results do not depend on the
    number of threads, bit for bit. A forked child process uses one thread.

    Args:
        n: the number of threads, from 1 to 4096. Without it, the present number is returned.
    Raises:
        ValueError: n is not between 1 and 4096.
        RuntimeError: the system cannot start so many threads.
        TypeError: n is not an integer.
    Example:
        >>> import fastnn
        >>> with fastnn.num_threads(1):
        ...     fastnn.num_threads()
        1
    """
    if n is not NOW:
        return _THREADS.within(n)
    check_environment()
    return 1 if _forked else _THREADS.get()


def set_num_threads(n: int) -> None:
    """Set the number of threads that operations of the whole process use. Results do not depend on it, bit for bit.

    Args:
        n: the number of threads, from 1 to 4096. Default, if it is never called: the environment variable
            FASTNN_NUM_THREADS, else OMP_NUM_THREADS, else `available_threads()`.
    Raises:
        ValueError: n is not between 1 and 4096.
        RuntimeError: the system cannot start so many threads.
        TypeError: n is not an integer.
    Example:
        >>> import fastnn
        >>> fastnn.set_num_threads(fastnn.num_threads())
    """
    _THREADS.process = _check_threads("set_num_threads", n)


# ---- instruction set -------------------------------------------------------------------------------------------------
def available_isas() -> list[str]:
    """The instruction sets that were compiled and that this CPU and its operating system support, the slowest first.

    Returns:
        A list of names: 'baseline' and, on x86-64, 'avx2' and 'avx512', on 64-bit Arm 'neon'; empty without a compiled
        module.
    Example:
        >>> import fastnn
        >>> set(fastnn.available_isas()) <= {"baseline", "avx2", "avx512", "neon"}
        True
    """
    if _native is None:
        return []
    supported = _native.isa_supported()
    return [name for name in _native.isa_built() if name in supported]


@overload
def isa() -> str: ...
@overload
def isa(name: str) -> Block: ...
def isa(name: Any = NOW) -> Any:
    """The instruction set whose kernels run; or, with an argument, a block in which another one's run.

    `with isa(name):` holds within the block; `@isa(name)` holds in a function. Unlike other settings it holds for all
    threads of the process.

    Args:
        name: one of `available_isas()`. Without it, the present name is returned: 'reference' without a compiled
            module.
    Raises:
        RuntimeError: the instruction set was not compiled, or this CPU or its operating system lacks it.
        TypeError: `name` is not a string.
    Example:
        >>> import fastnn
        >>> fastnn.isa() in {"baseline", "avx2", "avx512", "neon", "reference"}
        True
    """
    if name is not NOW:
        return _isa_within(_checked_isa("isa", _text("isa", "name", name)))
    check_environment()
    return _selected_isa()


def _selected_isa() -> str:
    """Asked of C, which alone keeps it: there are no two places that an interrupt could leave different."""
    return "reference" if _native is None else _native.isa_selected()


@contextlib.contextmanager
def _isa_within(name: str) -> Iterator[None]:
    before = _native.isa_selected()
    try:
        _native.isa_select(name)
        yield
    finally:
        _native.isa_select(before)


def set_isa(name: str) -> None:
    """Run the kernels of another instruction set in the whole process.

    Args:
        name: one of `available_isas()`. Default, if it is never called: the environment variable FASTNN_ISA, else the
            fastest.
    Raises:
        RuntimeError: the instruction set was not compiled, or this CPU or its operating system lacks it.
        TypeError: `name` is not a string.
    """
    _native_or_fail("set_isa").isa_select(_checked_isa("set_isa", _text("set_isa", "name", name)))


def _native_or_fail(where: str) -> Any:
    if _native is None:
        raise RuntimeError(f"{where}: the compiled module is missing")
    return _native


def _checked_isa(where: str, name: str) -> str:
    names = _native_or_fail(where).ISA_NAMES
    built, available = _native.isa_built(), available_isas()
    if name not in names:
        raise RuntimeError(f"{where}: unknown instruction set {name!r}: choose from {', '.join(names)}")
    if name not in built:
        raise RuntimeError(f"{where}: instruction set {name!r} is not in this build, which has {', '.join(built)}")
    if name not in available:
        raise RuntimeError(f"{where}: this CPU or its operating system lacks {name!r}; it has {', '.join(available)}")
    return name


def _isa_from_environment() -> None:
    if _native is None:
        return
    _native.isa_select(available_isas()[-1])
    requested = os.environ.get("FASTNN_ISA", "")
    if requested:
        _native.isa_select(_checked_isa(f"FASTNN_ISA={requested!r}", requested))


from_environment(_isa_from_environment, None)


# ---- backend ---------------------------------------------------------------------------------------------------------
def _check_backend(where: str, name: Any) -> str:
    if _text(where, "name", name) not in _BACKENDS:
        raise ValueError(f"{where}: unknown backend {name!r}: choose 'native' or 'reference'")
    if name == "native" and _native is None:
        raise RuntimeError(f"{where}: the compiled module is missing: only the 'reference' backend can run")
    return name


_BACKEND = Setting("backend", "FASTNN_BACKEND", _check_backend, "native" if _native is not None else "reference")


@overload
def backend() -> str: ...
@overload
def backend(name: str) -> Block: ...
def backend(name: Any = NOW) -> Any:
    """The backend that runs operations; or, with an argument, a block in which another one does.

    'native' runs every operation in C, 'reference' as its readable twin in NumPy. `with backend(name):` holds within
    the block; `@backend(name)` holds in a function.

    Args:
        name: 'native' or 'reference'. Without it, the present name is returned.
    Raises:
        ValueError: there is no such backend.
        RuntimeError: the compiled module is missing.
        TypeError: `name` is not a string.
    Example:
        >>> import numpy as np, fastnn
        >>> x = np.array([-1.0, 2.0])
        >>> with fastnn.backend("reference"):
        ...     fastnn.functional.relu(x)
        array([0., 2.])
    """
    return _BACKEND.get() if name is NOW else _BACKEND.within(name)


def uses_reference() -> bool:
    """Whether operations run as their NumPy twins. Every operation asks."""
    if _setting._environment_error is not None:
        check_environment()
    return _BACKEND.get() == "reference"


# ---- joined layers ---------------------------------------------------------------------------------------------------
def _check_joined(where: str, on: Any) -> bool:
    if isinstance(on, str) and "=" in where:  # of the environment
        if on not in ("0", "1"):
            raise ValueError(f"{where}: 0 or 1 is needed")
        return on == "1"
    return _truth(where, "on", on)


_JOINED = Setting("joined_layers", "FASTNN_JOINED_LAYERS", _check_joined, True)


@overload
def joined_layers() -> bool: ...
@overload
def joined_layers(on: bool) -> Block: ...
def joined_layers(on: Any = NOW) -> Any:
    """Whether containers compute neighbouring layers in one pass; or, with an argument, a block with this setting.

    Joined are, for example, batch norm and ReLU. Results are the same, bit for bit. Joining is on by default. Without
    it every layer runs by itself, and the result of each can be inspected. `with joined_layers(on):` holds within the
    block; `@joined_layers(on)` holds in a function.

    Args:
        on: True or False. Without it, the present value is returned.
    Raises:
        TypeError, ValueError: `on` is neither True nor False.
    Example:
        >>> import numpy as np, fastnn
        >>> model = fastnn.nn.Sequential(fastnn.nn.BatchNorm1d(2), fastnn.nn.ReLU())
        >>> with fastnn.joined_layers(False):
        ...     y = model(np.array([[1.0, 4.0], [3.0, 2.0]], np.float32))
    """
    return _JOINED.get() if on is NOW else _JOINED.within(on)


# ---- the algorithm of convolutions -----------------------------------------------------------------------------------
def _check_conv2d_algorithm(where: str, name: Any) -> str:
    if _text(where, "name", name) not in CONV2D_ALGORITHMS:
        raise ValueError(f"{where}: unknown algorithm {name!r}: choose from {', '.join(CONV2D_ALGORITHMS)}")
    return name


_CONV2D_ALGORITHM = Setting("conv2d_algorithm", "FASTNN_CONV2D_ALGORITHM", _check_conv2d_algorithm, "auto")


@overload
def conv2d_algorithm() -> str: ...
@overload
def conv2d_algorithm(name: str) -> Block: ...
def conv2d_algorithm(name: Any = NOW) -> Any:
    """The algorithm for convolutions with algorithm='auto'; or, with an argument, a block in which another one is used.

    With 'auto' (default) the planner takes the cheapest for the shape, except 'winograd4', whose rounding errors are
    larger. A convolution that the algorithm cannot compute is computed by 'direct'. The reference backend always
    computes the definition. `with conv2d_algorithm(name):` holds within the block; `@conv2d_algorithm(name)` holds in a
    function.

    Args:
        name: 'auto', 'direct', 'winograd', 'winograd24', 'winograd4' or 'im2col'; see `functional.conv2d`. Without it,
            the present name is returned.
    Raises:
        ValueError: there is no such algorithm.
        TypeError: `name` is not a string.
    Example:
        >>> import numpy as np, fastnn
        >>> x, weight = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
        >>> with fastnn.conv2d_algorithm("winograd"):
        ...     fastnn.functional.conv2d(x, weight)[0, 0]
        array([[9., 9.],
               [9., 9.]])
    """
    return _CONV2D_ALGORITHM.get() if name is NOW else _CONV2D_ALGORITHM.within(name)


def choices() -> tuple[str, str, int, str]:
    """What decides, besides its arguments, how an operation is computed."""
    if _setting._environment_error is not None:
        check_environment()
    name = _BACKEND.get()
    isa_of_kernels = name if name == "reference" else _selected_isa()
    return _CONV2D_ALGORITHM.get(), isa_of_kernels, 1 if _forked else _THREADS.get(), name


# ---- denormals -------------------------------------------------------------------------------------------------------
def set_flush_denormal(on: bool) -> None:
    """Treat denormal numbers as zero inside the C kernels. On by default, since they can be a hundred times slower.

    The floating-point mode of the calling thread is restored when an operation returns.

    Args:
        on: True or False.
    Raises:
        TypeError, ValueError: `on` is neither True nor False.
    Example:
        >>> import fastnn
        >>> fastnn.set_flush_denormal(True)
    """
    on = _truth("set_flush_denormal", "on", on)
    if _native is not None:
        _native.set_flush_denormals(on)


# ---- information -----------------------------------------------------------------------------------------------------
def build_info() -> dict[str, Any]:
    """What was compiled, what this CPU supports, and which settings hold. Include it in bug reports.

    Returns:
        "version": of fastnn; "compiled": whether there is a compiled module; "built_isas": the instruction sets
        compiled; "available_isas": those that this machine supports; "isa", "threads", "backend" and
        "conv2d_algorithm": the present settings; "openmp": the version of OpenMP as yyyymm, 0 without it.
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
        "backend": backend(),
        "conv2d_algorithm": conv2d_algorithm(),
    }
