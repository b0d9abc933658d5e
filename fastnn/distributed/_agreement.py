"""What must be the same on all ranks, compared before anything is trained."""

import json
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
        if first != theirs:
            names, a, b = _difference(first, theirs)
            raise Disagreement(
                f"rank {rank} does not agree with rank 0: {', '.join(names)} is {b} on rank {rank} and {a} on rank 0"
                f"{'; ' + advice if advice else ''}"
            )


def _difference(a: Any, b: Any) -> tuple[list[str], str, str]:
    """The names that lead to the first difference within two dictionaries, and the two values there.

    Example:
        >>> _difference({"loader": "Loader(8 images, seed=0)"}, {"loader": "Loader(8 images, seed=1)"})
        (['loader'], 'seed=0', 'seed=1')
    """
    if isinstance(a, dict) and isinstance(b, dict):
        name = next(name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name))
        names, x, y = _difference(a.get(name), b.get(name))
        return [name, *names], x, y
    if isinstance(a, str) and isinstance(b, str):
        words = [(x, y) for x, y in zip(a.split(", "), b.split(", "), strict=False) if x != y]
        if a.count(", ") == b.count(", "):
            extra = ")" if a.endswith(")") and words == [(a.split(", ")[-1], b.split(", ")[-1])] else ""
            return [], words[0][0].removesuffix(extra), words[0][1].removesuffix(extra)
    return [], str(a), str(b)


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
        slowest = min(range(len(found)), key=lambda rank: len(found[rank]["names"]))
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
            order = "".join(map(str, _layout.memory_order(array)))
            shapes[name] = f"{array.dtype} of shape {_shape(array)} with axes {order} in memory"
            values[name] = checksum(array)
    state = json.dumps(_random.random_state(), sort_keys=True).encode()
    return {
        "the network": shapes,
        "the checksum of the weights": values,
        "the checksum of the random state": zlib.crc32(state),
    }


def facts_of_loader(loader: Any) -> dict[str, Any]:
    """What the batches of a loader depend on, with a checksum of its data, of large ones of some rows."""
    facts: dict[str, Any] = {"length": len(loader), "loader": type(loader).__name__}
    if hasattr(loader, "batch_size") and hasattr(loader, "seed"):
        facts["settings"] = repr(loader)
        for name in ("images", "labels"):
            value = getattr(loader, name, None)
            if value is not None:
                facts |= {label: _sampled(part) for label, part in _several.parts(name, value)}
    return facts


def _sampled(array: NDArray) -> str:
    step = max(1, array.nbytes // _SAMPLED_BYTES)
    return f"{array.dtype} of shape {_shape(array)} with checksum {checksum(array[::step])}"


def _shape(array: NDArray) -> str:
    return " x ".join(map(str, array.shape)) or "()"
