"""What runs of the compiled module, for whoever looks."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["kernel_ran", "watch_kernels"]

# Each is told of every function that ran.
_watchers: list[Callable[..., None]] = []


@contextlib.contextmanager
def watch_kernels(watcher: Callable[..., None]) -> Iterator[None]:
    """Within the block, call `watcher(name)` after each run of a function of the compiled module, of any thread.

    Of a convolution, `watcher(name, taps, settings)` tells the filters as they lie, and (stride, padding, dilation,
    groups, algorithm).
    """
    try:  # before the change, so that no interrupt comes between
        _watchers.append(watcher)
        yield
    finally:
        _watchers.remove(watcher)


def kernel_ran(name: str, *details: Any) -> None:
    """Tell whoever watches that the function of this name ran."""
    for watcher in tuple(_watchers) if _watchers else ():
        watcher(name, *details)
