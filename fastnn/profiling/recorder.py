"""Timing every layer of a network while it trains, and noting what runs and what is copied meanwhile."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _layout, _runtime, nn
from fastnn.profiling import work

__all__ = ["DIRECTIONS", "WHOLE_STEP", "Key", "Recorder", "Tally"]

DIRECTIONS = ("forward", "backward", "backward data", "backward weight", "step")
Key = tuple[str, str]  # path of the layer, direction
WHOLE_STEP: Key = ("(step)", "step")

# Native functions that end the part of a backward which computes the gradient of the input.
_OF_DATA = frozenset({"conv2d_backward_data", "col2im"})
_OF_WEIGHT = frozenset({"conv2d_backward_weight"})
# The position of (weight, groups, algorithm) among their arguments.
_CONVOLUTIONS = {"conv2d_forward": (1, 7, 8), "conv2d_backward_data": (1, 7, 8), "conv2d_backward_weight": (2, 7, 8)}

_ALGORITHMS = {
    "winograd": "Winograd",
    "winograd24": "Winograd, tiles of 2 x 4",
    "winograd4": "Winograd, tiles of 4 x 4",
}


@dataclass
class Tally:
    """What one layer did in one direction in one step."""

    kind: str
    seconds: float = 0.0
    calls: int = 0
    bytes: int = 0
    multiplications: int = 0
    kernels: dict[str, None] = field(default_factory=dict)  # a set that keeps the order
    copies: list[tuple[str, int]] = field(default_factory=list)  # (what the copy is, its bytes)


@dataclass
class _Event:
    """A call of C, or a copy, within a frame."""

    name: str
    end: float
    copy_bytes: int | None = None


@dataclass
class _Frame:
    """A layer that is running."""

    events: list[_Event] = field(default_factory=list)
    inner: float = 0.0  # seconds of the layers within it and of what observing them took


class _NativeCalls:
    """Stands in for the compiled module: hands every call on, and tells of it."""

    def __init__(self, native: Any, tell: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._native = native
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._native, name)

        def call_and_tell(*arguments: Any) -> Any:
            result = value(*arguments)
            self._tell(name, arguments)
            return result

        observed = call_and_tell if callable(value) and not isinstance(value, type) else value
        self.__dict__[name] = observed  # the next look-up finds it without this method
        return observed


class Recorder:
    """Observes `model`; `step` gives what every layer did while its block ran.

    Attributes:
        layers: path -> module, in the order in which they first ran.
        input_shapes: path -> shape of the last input.
        order: the keys in the order in which they were first seen.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._native: Any = None
        self._thread = threading.get_ident()  # layers run in this one; what others copy is not theirs
        self._frames: list[_Frame] = []
        self._tallies: dict[Key, Tally] = {}
        self._work: dict[str, tuple[int, int]] = {}  # path -> (multiplications, bytes of x) of its last forward
        self.layers: dict[str, Any] = {}
        self.input_shapes: dict[str, tuple[int, ...]] = {}
        self.order: list[Key] = []

    # ---- a step ------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def step(self) -> Iterator[dict[Key, Tally]]:
        """The tallies of a step fill while the block runs; that of `WHOLE_STEP` is the time of all of it."""
        self._tallies = {}
        whole = _Frame()
        self._frames = [whole]
        start = time.perf_counter()
        try:
            yield self._tallies
        finally:
            elapsed = time.perf_counter() - start
            self._frames = []
        known = sum(tally.seconds for tally in self._tallies.values())
        # What observing took is nobody's time.
        self._tallies[WHOLE_STEP] = Tally("", known + max(0.0, elapsed - whole.inner))

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Within the block, the layers, the compiled module and the copies are observed."""
        with contextlib.ExitStack() as stack:
            for path, module in self._model.named_modules():
                if _works(module):
                    stack.enter_context(self._watched(path, module))
            native = self._native = _runtime._native
            if native is not None:
                stack.callback(setattr, _runtime, "_native", native)
                _runtime._native = _NativeCalls(native, self._native_call)
            stack.enter_context(_layout.watch_copies(self._copied))
            yield

    def run(self, path: str, kind: str, direction: str, call: Callable[[], Any], bytes: int = 0) -> Any:
        """Run something that is no layer of the model, and tally it."""
        result, seconds, frame, outside = self._timed(call)
        self._add((path, direction), kind, seconds, frame.events, bytes, 0)
        self._leave(outside)
        return result

    # ---- layers ------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _watched(self, path: str, layer: nn.Module) -> Iterator[None]:
        shadowed = {name: layer.__dict__[name] for name in ("forward", "backward") if name in layer.__dict__}
        forward, backward = layer.forward, layer.backward

        @functools.wraps(forward)
        def timed_forward(*arguments: Any, **keywords: Any) -> Any:
            y, seconds, frame, outside = self._timed(lambda: forward(*arguments, **keywords))
            given = (*arguments, *keywords.values())
            product = work.multiplications(layer, given)
            self._work[path] = product, work.nbytes(given[:1])
            self.layers.setdefault(path, layer)
            self.input_shapes[path] = tuple(np.shape(given[0])) if given else ()
            moved = work.forward_bytes(layer, given, y)
            self._add((path, "forward"), type(layer).__name__, seconds, frame.events, moved, product)
            self._leave(outside)
            return y

        @functools.wraps(backward)
        def timed_backward(*arguments: Any, **keywords: Any) -> Any:
            dx, seconds, frame, outside = self._timed(lambda: backward(*arguments, **keywords))
            self._add_backward(path, layer, (*arguments, *keywords.values()), dx, seconds, frame, outside)
            self._leave(outside)
            return dx

        # Not by assignment, which registers what it is given. These shadow the methods of the class.
        object.__setattr__(layer, "forward", timed_forward)
        object.__setattr__(layer, "backward", timed_backward)
        try:
            yield
        finally:
            for name in ("forward", "backward"):
                layer.__dict__.pop(name, None)
                if name in shadowed:
                    object.__setattr__(layer, name, shadowed[name])

    def _timed(self, call: Callable[[], Any]) -> tuple[Any, float, _Frame, float]:
        """(result, seconds without inner layers, frame, moment at which it began)."""
        outside = time.perf_counter()
        frame = _Frame()
        self._frames.append(frame)
        start = time.perf_counter()
        try:
            result = call()
        finally:
            elapsed = time.perf_counter() - start
            self._frames.pop()
        return result, elapsed - frame.inner, frame, outside

    def _leave(self, outside: float) -> None:
        """All since `outside` is not the time of the layer around."""
        if self._frames:
            self._frames[-1].inner += time.perf_counter() - outside

    def _add(
        self, key: Key, kind: str, seconds: float, events: list[_Event], n_bytes: int, multiplications: int
    ) -> None:
        if key not in self.order:
            self.order.append(key)
        tally = self._tallies.setdefault(key, Tally(kind))
        tally.seconds += seconds
        tally.calls += 1
        tally.bytes += n_bytes
        tally.multiplications += multiplications
        for event in events:
            if event.copy_bytes is None:
                tally.kernels[event.name] = None
            else:
                tally.copies.append((event.name, event.copy_bytes))

    def _add_backward(
        self,
        path: str,
        layer: nn.Module,
        arguments: tuple[Any, ...],
        dx: Any,
        seconds: float,
        frame: _Frame,
        outside: float,
    ) -> None:
        product, input_bytes = self._work.get(path, (0, 0))
        moved = work.backward_bytes(layer, input_bytes, arguments, dx)
        kind = type(layer).__name__
        names = {event.name.partition(" ")[0] for event in frame.events}
        leaf = next(layer.children(), None) is None
        if not leaf or not names & (_OF_DATA | _OF_WEIGHT):
            parts_of_it = (dx is not None) + any(p.requires_grad for p in layer.parameters()) if product else 0
            self._add((path, "backward"), kind, seconds, frame.events, moved["backward"], parts_of_it * product)
            return
        # The gradient of the input comes first; what follows its last call of C is for the weights.
        ends = [event.end for event in frame.events if event.name.partition(" ")[0] in _OF_DATA]
        border = max(ends, default=outside)
        parts = {
            "backward data": [event for event in frame.events if event.end <= border],
            "backward weight": [event for event in frame.events if event.end > border],
        }
        if not names & _OF_DATA:
            shares = {"backward weight": seconds}
        elif not names & _OF_WEIGHT:
            shares = {"backward data": seconds}
            parts["backward data"] = frame.events
        else:
            shares = {"backward data": border - outside, "backward weight": seconds - (border - outside)}
        for direction, share in shares.items():
            self._add((path, direction), kind, share, parts[direction], moved[direction], product)

    # ---- what happens within -----------------------------------------------------------------------------------------
    def _note(self, event: _Event) -> None:
        if self._frames and threading.get_ident() == self._thread:
            self._frames[-1].events.append(event)

    def _native_call(self, name: str, arguments: tuple[Any, ...]) -> None:
        end = time.perf_counter()
        if name.endswith("_workspace") or name.startswith("isa_") or name == "layout_transpose":
            return
        if name in _CONVOLUTIONS:
            weight, groups, algorithm = (arguments[position] for position in _CONVOLUTIONS[name])
            depthwise = self._native.conv2d_is_depthwise(weight.shape[2] * groups, weight.shape[3], groups)
            name += (
                f" ({_ALGORITHMS[algorithm]})"
                if algorithm in _ALGORITHMS
                else " (depthwise)"
                if depthwise
                else " (matrix product)"
            )
        self._note(_Event(name, end))

    def _copied(self, purpose: str, copy: Any) -> None:
        self._note(_Event(purpose, time.perf_counter(), copy.nbytes))


def _works(module: nn.Module) -> bool:
    """Whether a module may compute something itself: all but those that only run others in a row."""
    return next(module.children(), None) is None or type(module).forward is not nn.Sequential.forward
