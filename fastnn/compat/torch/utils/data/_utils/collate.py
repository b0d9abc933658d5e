"""Making a batch of items."""

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._promotion import cast, common_dtype
from fastnn.compat.torch._tensor import Tensor, new

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

__getattr__ = missing(__name__)

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """Arrays and NumPy's numbers within `data` as tensors, all else as it is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray | np.generic):
        array = np.asarray(data)
        return data if array.dtype.kind in "SUO" else new(array)
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(part) for part in data))
    if isinstance(data, tuple):
        return [default_convert(part) for part in data]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _sequence_like(data, [default_convert(part) for part in data])
    return data


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable[..., Any]] | None = None) -> Any:
    """A batch of a list of items: what the table says for their type, else mappings and sequences part by part.

    Raises:
        TypeError: an item holds something else.
        RuntimeError: items have different lengths, or tensors different shapes.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            function = next((found for key, found in collate_fn_map.items() if isinstance(first, key)), None)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        parts = {key: collate([item[key] for item in batch], collate_fn_map=collate_fn_map) for key in first}
        return _mapping_like(first, parts)
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
        if isinstance(first, tuple):
            return kind(*columns) if hasattr(first, "_fields") else columns
        return _sequence_like(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def _mapping_like(example: Any, parts: dict[Any, Any]) -> Any:
    """`parts` in a mapping of the kind of `example`, or in a dict if that cannot be made."""
    try:
        if isinstance(example, MutableMapping):
            made = copy.copy(example)
            made.update(parts)
            return made
        return type(example)(parts)
    except TypeError:
        return parts


def _sequence_like(example: Any, parts: list[Any]) -> Any:
    """`parts` in a sequence of the kind of `example`, or in a list if that cannot be made."""
    try:
        if isinstance(example, MutableSequence):
            made = copy.copy(example)
            for position, part in enumerate(parts):
                made[position] = part
            return made
        return type(example)(parts)
    except TypeError:
        return parts


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Tensors of one shape, stacked."""
    first = batch[0]._data
    for position, item in enumerate(batch):
        if item._data.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry 0 and "
                f"{list(item._data.shape)} at entry {position}"
            )
    if any(item._data.dtype != first.dtype for item in batch):
        dtype = common_dtype(*batch)
        batch = [cast(item, dtype) for item in batch]
    if any(item._requires_grad for item in batch):
        return np.stack(batch)  # type: ignore[return-value]  # fastnn's own, which records it
    return new(np.stack([item._data for item in batch]))


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Arrays of one shape, as a tensor."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([new(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """NumPy's numbers, as a tensor of their dtype."""
    return new(np.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Python's floats, as float64."""
    return new(np.array(batch, np.float64))


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Python's integers, as int64, and bools, as they are."""
    return new(np.array(batch, np.bool_ if isinstance(batch[0], bool) else np.int64))


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Texts stay a list."""
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """A batch of a list of items: tensors, arrays and numbers are stacked, texts listed, dicts, tuples and lists made
    into one of batches."""
    return collate(batch, collate_fn_map=default_collate_fn_map)
