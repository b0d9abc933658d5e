"""Sequences of several lengths: side by side with padding, or packed."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.methods import FUNCTIONS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip

__getattr__ = missing(__name__)

_take: Any = NumPyTensor.__getitem__


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """The elements of several sequences, the longest first: all first ones, then all second ones, and so on.

    Attributes:
        data: tensor (elements, ...).
        batch_sizes: tensor, how many sequences have an element at each place.
        sorted_indices, unsorted_indices: tensors, which sequence is at which place; None if they were sorted before.
    """

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> "PackedSequence":
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """With the elements in another dtype; every device is the CPU"""
        return self._replace(data=self.data.to(*args, **kwargs))

    def cpu(self) -> "PackedSequence":
        return self

    def cuda(self, device: Any = "cuda") -> "PackedSequence":
        check_device(device)
        return self

    def pin_memory(self) -> "PackedSequence":
        return self

    def float(self) -> "PackedSequence":
        return self._replace(data=self.data.float())

    def double(self) -> "PackedSequence":
        return self._replace(data=self.data.double())

    @property
    def is_cuda(self) -> bool:
        return False


def invert_permutation(permutation: Any) -> Any:
    """Where each number of a permutation stands; None for None"""
    return None if permutation is None else new(np.argsort(permutation._data))


def _integers(values: Any) -> NDArray:
    return np.asarray(values._data if isinstance(values, NumPyTensor) else values, np.int64)


def _places(batch_sizes: NDArray) -> tuple[NDArray, NDArray]:
    """Time and sequence of each element that is packed."""
    sequences = np.broadcast_to(np.arange(batch_sizes.max(initial=0)), (len(batch_sizes), batch_sizes.max(initial=0)))
    time, sequence = np.nonzero(sequences < batch_sizes[:, None])
    return time, sequence


def _lengths(batch_sizes: NDArray) -> NDArray:
    """The lengths of the sequences, sorted."""
    return (np.arange(batch_sizes[0])[:, None] < batch_sizes).sum(1)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences that lie side by side, of these lengths, packed"""
    sizes = _integers(lengths)
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
        input = _take(input, order if batch_first else (slice(None), order))
    if batch_first:
        input = FUNCTIONS[np.swapaxes](input, 0, 1)
    if len(sizes) != input._data.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={input._data.shape[1]})"
        )
    if (sizes <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (np.diff(sizes) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement"
        )
    if sizes[0] > len(input._data):
        raise RuntimeError(f"pack_padded_sequence: a length of {sizes[0]}, and the input has {len(input._data)} places")
    batch_sizes = (sizes > np.arange(sizes[0])[:, None]).sum(1)
    data = _take(input, _places(batch_sizes))
    return PackedSequence(data, new(batch_sizes), None if order is None else new(order))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Packed sequences side by side, and their lengths"""
    batch_sizes = sequence.batch_sizes._data
    longest = len(batch_sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data = sequence.data
    padded = new(np.full((longest, batch_sizes[0], *data._data.shape[1:]), padding_value, data._data.dtype))
    padded[_places(batch_sizes)] = data
    lengths: Any = _lengths(batch_sizes)
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices._data
        padded, lengths = _take(padded, (slice(None), order)), lengths[order]
    return FUNCTIONS[np.swapaxes](padded, 0, 1) if batch_first else padded, new(lengths)


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors (L, ...) of several lengths side by side: (longest, sequences, ...), or with the first two exchanged"""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of 'left' or 'right', but got {padding_side}.")
    several = list(sequences)
    if not several:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(sequence._data) for sequence in several)
    rows = []
    for sequence in several:
        missing_ones = longest - len(sequence._data)
        widths = [(missing_ones, 0) if padding_side == "left" else (0, missing_ones)]
        widths += [(0, 0)] * (sequence._data.ndim - 1)
        rows.append(FUNCTIONS[np.pad](sequence, widths, "constant", constant_values=padding_value))
    return FUNCTIONS[np.stack](rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences that lie side by side, each of its length"""
    if not batch_first:
        padded_sequences = FUNCTIONS[np.swapaxes](padded_sequences, 0, 1)
    return [_take(padded_sequences, (row, slice(size))) for row, size in enumerate(_integers(lengths).tolist())]


def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (L, ...) of several lengths, packed"""
    several = list(sequences)
    lengths = [len(sequence._data) for sequence in several]
    return pack_padded_sequence(pad_sequence(several), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The tensors that were packed"""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def run_packed(forward: Callable[..., Any], batch_first: bool, packed: Any, hx: Any) -> tuple[Any, Any]:
    """The result of a recurrent network for packed sequences, packed, and its last states.

    Sequences of the same length are one batch: no layer and no direction sees padding.
    """
    batch_sizes = packed.batch_sizes._data
    lengths = _lengths(batch_sizes)
    starts = np.concatenate([[0], np.cumsum(batch_sizes)[:-1]])
    order = np.arange(len(lengths)) if packed.sorted_indices is None else packed.sorted_indices._data
    has_several = isinstance(hx, tuple)
    rows, places, states = [], [], []
    for length in np.unique(lengths)[::-1]:
        group = np.flatnonzero(lengths == length)
        where = starts[:length, None] + group
        x = _take(packed.data, where)
        x = FUNCTIONS[np.swapaxes](x, 0, 1) if batch_first else x
        own = [
            _take(state, (slice(None), order[group])) for state in (hx if has_several else (hx,)) if state is not None
        ]
        y, last = forward(x, *([tuple(own)] if has_several else own))
        y = FUNCTIONS[np.swapaxes](y, 0, 1) if batch_first else y
        rows.append(FUNCTIONS[np.reshape](y, (where.size, -1)))
        places.append(where.reshape(-1))
        states.append(last if isinstance(last, tuple) else (last,))
    data = _take(FUNCTIONS[np.concatenate](rows), np.argsort(np.concatenate(places)))
    unsorted = np.argsort(order)
    ends = [
        _take(FUNCTIONS[np.concatenate](list(parts), 1), (slice(None), unsorted)) for parts in zip(*states, strict=True)
    ]
    return packed._replace(data=data), tuple(ends) if len(ends) > 1 else ends[0]
