"""NumPy's functions on tensors: those with a gradient, and those that need none."""

from typing import Any

import numpy as np

from fastnn.autograd import (  # noqa: F401 - each fills the tables
    elementwise,
    indexing,
    joining,
    products,
    reductions,
    shapes,
)
from fastnn.autograd.elementwise import observed_answer
from fastnn.autograd.methods import NO_GRADIENT, OBSERVED, WRITES

# Places, counts, answers, texts; and arrays that have only shape and dtype from what they are made like.
NO_GRADIENT.update((
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition, np.argwhere, np.nonzero,
    np.flatnonzero, np.count_nonzero, np.lexsort, np.searchsorted, np.digitize, np.bincount, np.histogram,
    np.histogram2d, np.histogramdd, np.histogram_bin_edges, np.unique, np.isin, np.intersect1d, np.setdiff1d,
    np.setxor1d, np.union1d, np.all, np.any, np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isneginf,
    np.isposinf, np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj, np.shape, np.ndim, np.size, np.zeros_like,
    np.ones_like, np.empty_like, np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.unravel_index,
    np.ravel_multi_index, np.result_type, np.can_cast, np.min_scalar_type, np.common_type, np.may_share_memory,
    np.shares_memory, np.array2string, np.array_repr, np.array_str, np.save, np.savez, np.savez_compressed,
    np.savetxt, np.linalg.matrix_rank,
))  # fmt: skip
_SINCE_NUMPY_2 = ("unique_all", "unique_counts", "unique_inverse", "unique_values")
NO_GRADIENT.update(getattr(np, name) for name in _SINCE_NUMPY_2 if hasattr(np, name))

# These change an argument.
WRITES.update((np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis))


def _seen(function: Any) -> Any:
    def call(a: Any, axis: Any = None, **settings: Any) -> Any:
        return observed_answer(function, a, axis=axis, **settings)

    return call


OBSERVED.update({function: _seen(function) for function in (np.argmax, np.argmin, np.argsort, np.all, np.any)})
