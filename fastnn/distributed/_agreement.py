"""What must be the same on all ranks, compared before anything is trained."""

import platform
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import _layout, _random, _runtime, _several, nn
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._errors import Disagreement

__all__ = ["agree", "agree_on_isa", "checksum", "facts_of_loader", "facts_of_modules", "facts_of_process"]

_SAMPLED_BYTES = 1 << 26  # of a data set


def agree(communicator: Communicator, kind: str, facts: Mapping[str, Any], advice: str = "") -> None:
    """Compare facts of all ranks.

    Args:
        communicator: the ranks.
        kind: what they are about.
        facts: what JSON can hold, by what a sentence calls it.
        advice: how they become equal.
    Raises:
        Disagreement: on all ranks. It names the first rank that differs from rank 0, and in what.
    """
    first, *others = communicator.exchange(kind, dict(facts))
    for rank, theirs in enumerate(others, 1):
        for name in dict.fromkeys([*first, *theirs]):
            if first.get(name) != theirs.get(name):
                a, b = _difference(first.get(name), theirs.get(name))
                raise Disagreement(
                    f"rank {rank} does not agree with rank 0: {name} is {b} on rank {rank} and {a} on rank 0"
                    f"{'; ' + advice if advice else ''}"
                )


def _difference(a: Any, b: Any) -> tuple[str, str]:
    """The two values, or the first entries in which two lists or dictionaries of them differ."""
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next(_difference(x, y) for x, y in zip(a, b, strict=True) if x != y)
    if isinstance(a, dict) and isinstance(b, dict):
        name = next(name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name))
        return f"{name}={a.get(name)!r}", f"{name}={b.get(name)!r}"
    return repr(a), repr(b)


def facts_of_process() -> dict[str, Any]:
    """Versions and settings that the bits of a training depend on."""
    native = _runtime._native
    return {
        "the version of fastnn": fastnn.__version__,
        "the version of NumPy": np.__version__,
        "the kind of machine": platform.machine(),
        "the backend": fastnn.backend(),
        "the algorithm of convolutions": _runtime.conv2d_algorithm(),
        "flushing of denormal numbers": None if native is None else bool(native.get_flush_denormals()),
    }


def agree_on_isa(communicator: Communicator) -> tuple[str | None, str]:
    """Use the best instruction set that all ranks have, since the bits depend on it.

    Returns:
        The set that this process used before if it is another one, and a sentence about it, or ''.
    """
    if fastnn.backend() != "native":
        return None, ""
    before, available = fastnn.isa(), fastnn.available_isas()
    mine = available[: available.index(before) + 1]  # what is as good as the chosen one, or slower
    found = communicator.exchange("instruction sets", {"names": mine})
    common = [name for name in found[0]["names"] if all(name in one["names"] for one in found)]
    if not common:
        raise Disagreement(
            f"no instruction set is common to all ranks: {', '.join(one['names'][-1] for one in found)}; leave out the "
            "machines of another kind"
        )
    best = [one["names"][-1] for one in found]
    said = ""
    if len(set(best)) > 1:
        slowest = next(rank for rank, name in enumerate(best) if name == common[-1] or name == min(best, key=len))
        said = f"all ranks use {common[-1]} kernels, the best that rank {slowest} has, so that their bits are the same"
    if common[-1] == before:
        return None, said
    fastnn.set_isa(common[-1])
    return before, said


def checksum(value: Any) -> int:
    """A number that tells arrays, or tuples and dicts of arrays, apart."""
    result = 0
    for label, part in _several.parts("", value):
        if isinstance(part, np.ndarray) and part.dtype.kind in "fiub":
            result = zlib.crc32(f"{label}{part.shape}{part.dtype}".encode(), result)
            result = zlib.crc32(np.ascontiguousarray(part).tobytes(), result)
    return result


def facts_of_modules(modules: Iterable[nn.Module]) -> dict[str, Any]:
    """Shapes and values of parameters and buffers, and the state of the random numbers."""
    shapes: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for number, module in enumerate(modules):
        for key, _, _, array in module._state():
            name = f"criterion.{key}" if number else key
            shapes[name] = [str(array.dtype), list(array.shape), list(_layout.memory_order(array))]
            values[name] = checksum(array)
    return {"the network": shapes, "the checksum of the weights": values, "the random state": _random.random_state()}


def facts_of_loader(loader: Any) -> dict[str, Any]:
    """What the batches of a loader depend on, with a checksum of its data, of large ones of some rows."""
    facts: dict[str, Any] = {"length": len(loader), "loader": type(loader).__name__}
    if hasattr(loader, "batch_size") and hasattr(loader, "seed"):
        facts["settings"] = repr(loader)
        for name in ("images", "labels"):
            value = getattr(loader, name, None)
            if value is not None:
                facts[name] = [_sampled(part) for _, part in _several.parts(name, value)]
    return facts


def _sampled(array: NDArray) -> list[Any]:
    step = max(1, array.nbytes // _SAMPLED_BYTES)
    return [str(array.dtype), list(array.shape), checksum(array[::step])]
