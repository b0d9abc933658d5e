"""The random numbers of layers and initialisers. Every thread has a generator of its own.

Two threads that train at once would else take numbers from one generator in an order that is another one every time.
The main thread's generator is what `manual_seed` seeds there. A thread that seeds itself has the same numbers as a
program of one thread with this seed. Any other thread has a stream of its own, made of the main thread's seed and of
the thread's name (and of how many threads of this name drew before): the same in every run of a program that names
its threads the same way, as Python does by itself if they are made in the same order.

Generators belong to threads, not to contexts: a copied context, as of `asyncio.to_thread`, would share one generator
between threads. Coroutines of one thread share that thread's.

Data loaders have generators of their own. Masks that C draws (dropout) are counter-based: the generator gives a key,
and the mask is a function of key and position, whatever the number of threads.
"""

import contextlib
import itertools
import operator
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class _Root(NamedTuple):
    """What the main thread's seeding determines. It is replaced as a whole, so that an interrupt cannot halve it."""

    seed: int  # of the streams of other threads
    generator: np.random.Generator  # of the main thread
    streams: dict[str, Iterator[int]]  # the numbers of other threads' streams, by the name of the thread


class _Own(NamedTuple):
    """The generator of a thread other than the main one."""

    generator: np.random.Generator
    streams: dict[str, Iterator[int]] | None  # those of the root that it is derived from; None: seeded by the thread


def _root(seed: int) -> _Root:
    return _Root(seed, np.random.Generator(np.random.PCG64(seed)), {})


_main_thread = threading.main_thread().ident
_of_main = _root(np.random.SeedSequence().entropy)  # type: ignore[arg-type] # an int if none is given
_of_thread = threading.local()


def manual_seed(seed: int) -> None:
    """Seed initialisers, dropout and augmentations. The same seed gives the same network and training, bit for bit.

    It seeds the calling thread. In the main thread it also determines the random numbers of threads that do not seed
    themselves: each draws from a stream of its own, which depends on this seed and the thread's name. Data loaders have
    their own argument `seed`.

    Args:
        seed: an integer >= 0.
    Raises:
        TypeError: the seed is not an integer.
        ValueError: the seed is negative.
    Example:
        >>> import fastnn
        >>> fastnn.manual_seed(0); first = nn.Linear(2, 2).weight.data
        >>> fastnn.manual_seed(0); bool((nn.Linear(2, 2).weight.data == first).all())
        True
    """
    global _of_main
    if isinstance(seed, bool | np.bool_):
        raise TypeError(f"manual_seed: seed must be an integer. Received: {seed!r}")
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"manual_seed: seed must be an integer. Received: {seed!r}") from None
    if seed < 0:
        raise ValueError(f"manual_seed: a non-negative integer is needed. Received: {seed}")
    if threading.get_ident() == _main_thread:
        _of_main = _root(seed)
    else:
        _of_thread.own = _Own(np.random.Generator(np.random.PCG64(seed)), None)


def generator() -> np.random.Generator:
    """The generator that layers and initialisers draw from in this thread."""
    root = _of_main
    if threading.get_ident() == _main_thread:
        return root.generator
    own: _Own | None = getattr(_of_thread, "own", None)
    if own is None or (own.streams is not None and own.streams is not root.streams):
        name = threading.current_thread().name
        number = next(root.streams.setdefault(name, itertools.count()))
        seeds = np.random.SeedSequence(root.seed, spawn_key=(*name.encode(errors="replace"), number))
        own = _of_thread.own = _Own(np.random.Generator(np.random.PCG64(seeds)), root.streams)
    return own.generator


@contextlib.contextmanager
def drawing_from(generator: np.random.Generator) -> Iterator[None]:
    """Let this thread draw from `generator` in the block, and after it from what it had before."""
    global _of_main
    if threading.get_ident() == _main_thread:
        before = _of_main.generator
        _of_main = _of_main._replace(generator=generator)
        try:
            yield
        finally:
            _of_main = _of_main._replace(generator=before)
        return
    own = getattr(_of_thread, "own", None)
    _of_thread.own = _Own(generator, None)
    try:
        yield
    finally:
        _of_thread.own = own


def draw_key() -> int:
    """A fresh 64-bit key for a counter-based mask."""
    return int(generator().integers(0, 2**64, dtype=np.uint64))


def random_state() -> dict[str, Any]:
    """The state of this thread's random generator, as a dict that JSON can hold. `set_random_state` restores it.

    Example:
        >>> import fastnn
        >>> state = fastnn.random_state()
        >>> first = nn.Linear(2, 2).weight.data
        >>> fastnn.set_random_state(state)
        >>> bool((nn.Linear(2, 2).weight.data == first).all())
        True
    """
    return dict(generator().bit_generator.state)


def set_random_state(state: Any) -> None:
    """Restore a state of this thread's random generator that `random_state` returned.

    Args:
        state: the result of `random_state`, also after a passage through JSON.
    Raises:
        TypeError, ValueError: it is not such a state. Nothing is changed.
    Example:
        >>> import json, fastnn
        >>> state = json.loads(json.dumps(fastnn.random_state()))
        >>> fastnn.set_random_state(state)
    """
    global _of_main
    bit_generator = np.random.PCG64()
    bit_generator.state = _checked_state(state)
    generator = np.random.Generator(bit_generator)
    if threading.get_ident() == _main_thread:
        _of_main = _of_main._replace(generator=generator)
    else:
        _of_thread.own = _Own(generator, None)


def _checked_state(state: Any) -> Any:
    """A copy of `state` of which every part is what NumPy's PCG64 has."""

    def mapping(name: str, value: Any, keys: set[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"set_random_state: {name} must be a dictionary. Received: {value!r}")
        if set(value) != keys:
            raise ValueError(f"set_random_state: {name} must have {', '.join(sorted(keys))}. Received: {value!r}")
        return value

    def number(name: str, value: Any, end: int) -> int:
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            raise TypeError(f"set_random_state: {name} must be an integer. Received: {value!r}")
        if not 0 <= value < end:
            raise ValueError(f"set_random_state: {name} must lie in [0, {end}). Received: {value!r}")
        return int(value)

    outer = mapping("state", state, {"bit_generator", "state", "has_uint32", "uinteger"})
    if outer["bit_generator"] != "PCG64":
        raise ValueError(f"set_random_state: the generator must be PCG64. Received: {outer['bit_generator']!r}")
    inner = mapping("state['state']", outer["state"], {"state", "inc"})
    increment = number("inc", inner["inc"], 2**128)
    if increment % 2 == 0:
        raise ValueError(f"set_random_state: inc must be odd. Received: {increment}")
    return {
        "bit_generator": "PCG64",
        "state": {"state": number("state", inner["state"], 2**128), "inc": increment},
        "has_uint32": number("has_uint32", outer["has_uint32"], 2),
        "uinteger": number("uinteger", outer["uinteger"], 2**32),
    }
