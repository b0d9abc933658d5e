"""Random numbers: fastnn's generator, which `torch.manual_seed` seeds. The numbers are not PyTorch's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import _random
from fastnn.compat.notes import note
from fastnn.compat.torch._creation import _made, _sizes
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype
from fastnn.compat.torch._tensor import Tensor, in_place, method, new, wrapped

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]


class Generator:
    """A source of random numbers of its own."""

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self._seed = int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]
        self._numpy = np.random.default_rng(self._seed)

    def manual_seed(self, seed: int) -> "Generator":
        """Start anew from this number."""
        self._seed, self._numpy = int(seed), np.random.default_rng(int(seed) % 2**64)
        return self

    def initial_seed(self) -> int:
        """The number that it started from."""
        return self._seed

    def seed(self) -> int:
        """Start anew from a number that nobody knows, and give that."""
        self.manual_seed(int(np.random.SeedSequence().entropy) % 2**63)  # type: ignore[arg-type]
        return self._seed

    def get_state(self) -> Any:
        """What `set_state` goes on from."""
        return self._numpy.bit_generator.state

    def set_state(self, new_state: Any) -> None:
        """Go on from there."""
        self._numpy.bit_generator.state = new_state


class _Default(Generator):
    """fastnn's own generator of the calling thread."""

    def __init__(self) -> None:
        self._seed = 0

    @property
    def _numpy(self) -> np.random.Generator:  # type: ignore[override]
        return _random.generator()

    def manual_seed(self, seed: int) -> Generator:
        return manual_seed(seed)


default_generator = _Default()


def manual_seed(seed: int) -> Generator:
    """Seed fastnn's generator. The same seed gives the same numbers in each run, but not PyTorch's."""
    fastnn.manual_seed(int(seed) % 2**64)
    default_generator._seed = int(seed)
    note("torch.manual_seed: the numbers are fastnn's own: results agree with PyTorch's in distribution only")
    return default_generator


def seed() -> int:
    """Seed with a number that nobody knows, and give that."""
    value = int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]
    fastnn.manual_seed(value)
    return value


def initial_seed() -> int:
    """What `manual_seed` got."""
    return default_generator._seed


def get_rng_state(device: Any = None) -> Any:
    """What `set_rng_state` goes on from."""
    return fastnn.random_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Go on from there."""
    fastnn.set_random_state(new_state)


def source(generator: Any) -> np.random.Generator:
    """NumPy's generator behind one of these, or fastnn's own."""
    return _random.generator() if generator is None else generator._numpy


def _kind(dtype: Any) -> np.dtype:
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    if kind.kind != "f":
        raise RuntimeError(f"random floats cannot be of {dtype!r}")
    return kind


def _uniform(shape: Any, kind: np.dtype, generator: Any) -> NDArray:
    if kind.itemsize < 4:
        return source(generator).random(shape, np.float32).astype(kind)
    return source(generator).random(shape, kind)  # type: ignore[arg-type]


def _normal(shape: Any, kind: np.dtype, generator: Any) -> NDArray:
    if kind.itemsize < 4:
        return source(generator).standard_normal(shape, np.float32).astype(kind)
    return source(generator).standard_normal(shape, kind)  # type: ignore[arg-type]


def rand(*size: Any, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
         requires_grad: bool = False, pin_memory: bool = False, **keywords: Any) -> Tensor:  # fmt: skip
    """Even numbers in [0, 1)."""
    check_device(device)
    return _made(np.asarray(_uniform(_sizes(size, keywords), _kind(dtype), generator)), requires_grad, out)


def randn(*size: Any, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
          requires_grad: bool = False, pin_memory: bool = False, **keywords: Any) -> Tensor:  # fmt: skip
    """Normal numbers of mean 0 and variance 1."""
    check_device(device)
    return _made(np.asarray(_normal(_sizes(size, keywords), _kind(dtype), generator)), requires_grad, out)


def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Any = None, out: Any = None,
            dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Integers in [low, high)."""
    check_device(device)
    if isinstance(high, tuple | list):  # randint(high, size)
        low, high, size = 0, low, high
    elif high is None:  # randint(high, size=size)
        low, high = 0, low
    if size is None:
        raise TypeError("randint() missing 1 required positional argument: 'size'")
    if high <= low:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    kind = np.dtype(np.int64) if dtype is None else numpy_dtype(dtype)
    drawn = source(generator).integers(low, high, tuple(size))
    return _made(np.asarray(drawn, kind), requires_grad, out)


def randperm(n: int, *, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """The numbers below n in any order."""
    check_device(device)
    kind = np.dtype(np.int64) if dtype is None else numpy_dtype(dtype)
    return _made(source(generator).permutation(n).astype(kind), requires_grad, out)


def rand_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
              memory_format: Any = None, generator: Any = None) -> Tensor:  # fmt: skip
    """Even numbers in [0, 1), in the shape and dtype of `input`."""
    kind = input._data.dtype if dtype is None else _kind(dtype)
    return _made(np.asarray(_uniform(input._data.shape, kind, generator)), requires_grad)


def randn_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
               memory_format: Any = None, generator: Any = None) -> Tensor:  # fmt: skip
    """Normal numbers, in the shape and dtype of `input`."""
    kind = input._data.dtype if dtype is None else _kind(dtype)
    return _made(np.asarray(_normal(input._data.shape, kind, generator)), requires_grad)


def randint_like(input: Any, low: int, high: Any = None, *, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Integers in [low, high), in the shape and dtype of `input`."""
    if high is None:
        low, high = 0, low
    kind = input._data.dtype if dtype is None else numpy_dtype(dtype)
    return _made(source(None).integers(low, high, input._data.shape).astype(kind), requires_grad)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Any = None,
           dtype: Any = None, device: Any = None) -> Tensor:  # fmt: skip
    """Normal numbers with these means and standard deviations, tensors or numbers."""
    arrays = [value._data if isinstance(value, Tensor) else value for value in (mean, std)]
    kind = next((a.dtype for a in arrays if isinstance(a, np.ndarray)), _kind(dtype))
    shape = tuple(size) if size is not None else np.broadcast_shapes(*[np.shape(a) for a in arrays])
    return _made((arrays[0] + arrays[1] * _normal(shape, np.dtype(kind), generator)).astype(kind), False, out)


@method
def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Tensor:
    """1 with the probability that `input` says, else 0."""
    chance = input._data if p is None else p
    drawn = source(generator).random(input._data.shape) < chance
    return _made(np.asarray(drawn, input._data.dtype), False, out)


@method
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Places, drawn by these weights; a row of samples for each row of weights."""
    weights = np.atleast_2d(input._data).astype(np.float64)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0, or sums to 0")
    if not replacement and ((weights > 0).sum(1) < num_samples).any():
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    rows = [source(generator).choice(row.size, num_samples, replacement, row / row.sum()) for row in weights]
    y = np.asarray(rows, np.int64)
    return wrapped(y if input._data.ndim > 1 else y[0])


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Poisson numbers of these means."""
    return wrapped(source(generator).poisson(input._data).astype(input._data.dtype))


# ---- into a tensor ---------------------------------------------------------------------------------------------------
def _uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **keywords: Any) -> Tensor:
    """Even numbers in [from, to)."""
    low = keywords.pop("from", from_)
    drawn = _uniform(self._data.shape, self._data.dtype, generator)
    return in_place(self, new(np.asarray(low + (to - low) * drawn, self._data.dtype)))


def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Normal numbers."""
    drawn = _normal(self._data.shape, self._data.dtype, generator)
    return in_place(self, new(np.asarray(mean + std * drawn, self._data.dtype)))


def _random_(self: Tensor, from_: int = 0, to: int | None = None, *, generator: Any = None, **keywords: Any) -> Tensor:
    """Integers in [from, to)."""
    low = keywords.pop("from", from_)
    low, high = (0, low) if to is None and low else (low, to)
    if high is None:
        kind = self._data.dtype
        high = 2 ** (np.finfo(kind).nmant + 1) if kind.kind == "f" else 2 if kind.kind == "b" else np.iinfo(kind).max
    drawn = source(generator).integers(low, high, self._data.shape)
    return in_place(self, new(np.asarray(drawn, self._data.dtype)))


def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """1 with probability p, else 0."""
    chance = p._data if isinstance(p, Tensor) else p
    drawn = source(generator).random(self._data.shape) < chance
    return in_place(self, new(np.asarray(drawn, self._data.dtype)))


def _exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Exponential numbers."""
    drawn = source(generator).exponential(1 / lambd, self._data.shape)
    return in_place(self, new(np.asarray(drawn, self._data.dtype)))


for _function in (_uniform_, _normal_, _random_, _bernoulli_, _exponential_):
    setattr(Tensor, _function.__name__[1:], _function)
