"""Samplers: the order in which items of a data set are asked for."""

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, array_from, new
from fastnn.compat.torch.utils.data._generator import draw_seed, numpy_generator

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

_T_co = TypeVar("_T_co", covariant=True)
_AT_ONCE = 4096  # random numbers that are drawn together: few enough that an endless sampler starts at once

__getattr__ = missing(__name__)


class Sampler(Generic[_T_co]):
    """Indices of items, or lists of them: subclasses have `__iter__`, and `__len__` where that is known."""

    def __init__(self, data_source: Any = None) -> None:
        pass  # older scripts pass the data set, which PyTorch has ignored since 2.1

    def __iter__(self) -> Iterator[_T_co]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2 and so on."""

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, or with `replacement` random ones.

    Args:
        num_samples: how many; by default as many as the data set has.
        generator: what to draw from; by default the generator that `torch.manual_seed` seeds gives each iteration a
            seed.
    """

    data_source: Sized
    replacement: bool

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self._num_samples, self.generator = num_samples, generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        # A stream of its own: what is drawn between two batches does not change the order.
        rng = np.random.default_rng(draw_seed(None)) if self.generator is None else numpy_generator(self.generator)
        left = self.num_samples
        while left > 0:
            part = rng.integers(n, size=min(left, _AT_ONCE)) if self.replacement else rng.permutation(n)[:left]
            left -= len(part)
            yield from part.tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some indices in random order."""

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for position in numpy_generator(self.generator).permutation(len(self.indices)).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn in proportion to weights, which need not sum to 1."""

    weights: Tensor
    num_samples: int
    replacement: bool

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        array = np.array(array_from(weights, np.dtype(np.float64)))
        if array.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {array.shape}")
        self.weights, self.num_samples, self.replacement = new(array), num_samples, replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights, rng = self.weights._data, numpy_generator(self.generator)
        if not (np.isfinite(weights).all() and weights.min(initial=0) >= 0 and weights.sum() > 0):
            raise RuntimeError("WeightedRandomSampler: weights must be finite, not negative, and not all 0")
        if self.replacement:
            ends = np.cumsum(weights)
            # The last of equal ends has a weight of 0, and a number just below the sum may be rounded to it.
            found = np.searchsorted(ends, rng.random(self.num_samples) * ends[-1], side="right")
            yield from np.minimum(found, np.flatnonzero(weights)[-1]).tolist()
            return
        if self.num_samples > np.count_nonzero(weights):
            raise RuntimeError(
                f"WeightedRandomSampler: {self.num_samples} different indices are needed, "
                f"{np.count_nonzero(weights)} have a weight above 0"
            )
        # The smallest of exponential times with these rates come first (Efraimidis and Spirakis, 2006).
        with np.errstate(divide="ignore"):
            times = rng.standard_exponential(len(weights)) / weights
        yield from np.argsort(times)[: self.num_samples].tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler."""

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
