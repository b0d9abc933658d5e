"""Timing every layer of a network during training, and recording kernels and copies."""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fastnn import nn
from fastnn.autograd import Observer, Op, observing
from fastnn.profiling import work

__all__ = ["DIRECTIONS", "WHOLE_STEP", "Key", "Recorder", "Tally"]

DIRECTIONS = ("forward", "backward", "backward data", "backward weight", "step")
Key = tuple[str, str]  # path of the layer, direction
WHOLE_STEP: Key = ("(step)", "step")

# Functions that end the part of a backward which computes the gradient of the input.
_OF_DATA = frozenset({"conv2d_backward_data"})
_OF_WEIGHT = frozenset({"conv2d_backward_weight"})


@dataclass(eq=False)
class Run:
    """One forward of a layer, to which the matching backward is attributed."""

    path: str
    kind: str
    layer: Any = None  # None: not one of the network
    multiplications: int = 0
    input_bytes: int = 0
    operations: int = 0
    operation_bytes: int = 0


@dataclass
class Tally:
    """What one layer did in one direction during one step."""

    kind: str
    seconds: float = 0.0
    runs: set[Run] = field(default_factory=set)
    bytes: int = 0
    multiplications: int = 0
    kernels: dict[str, None] = field(default_factory=dict)  # a set that keeps the order
    copies: list[tuple[str, int]] = field(default_factory=list)  # (what the copy is, its bytes)

    @property
    def calls(self) -> int:
        return len(self.runs)


@dataclass
class Event:
    """A function of the compiled module that ran, or a copy that was made, within a frame."""

    name: str
    end: float
    copy_bytes: int | None = None


@dataclass
class _Frame:
    """Something that is running: a module, an operation on its way back, or what is no part of the network."""

    what: Any
    run: Run
    outside: float  # the moment at which it began
    events: list[Event] = field(default_factory=list)
    inner: float = 0.0  # seconds of what has rows of its own within it, and of what observing took


class Recorder(Observer):
    """An observer of `model`. Within its context manager `step`, it records what every layer does.

    The forward of a layer is all that happens in it, except in the layers within it. Its backward is that of the
    operations that it ran, or the one that its author wrote.

    Args:
        model: the network.
    Attributes:
        layers: path -> module, in the order in which they first ran.
        input_shapes: path -> shape of the last input.
        order: the keys in the order in which they were first seen.
    """

    def __init__(self, model: nn.Module) -> None:
        self._paths = {id(module): path for path, module in model.named_modules() if _works(module)}
        self._thread = threading.get_ident()  # layers run in this one; what others copy is not theirs
        self._frames: list[_Frame] = []
        self._tallies: dict[Key, Tally] = {}
        self._last: dict[str, Run] = {}
        self._runs: weakref.WeakKeyDictionary[Op, Run] = weakref.WeakKeyDictionary()
        self.layers: dict[str, Any] = {}
        self.input_shapes: dict[str, tuple[int, ...]] = {}
        self.order: list[Key] = []

    # ---- a step ------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def step(self) -> Iterator[dict[Key, Tally]]:
        """A context manager that yields the tallies of a step, which fill while the block runs.

        The tally of `WHOLE_STEP` is the time of the whole block.
        """
        self._tallies = {}
        with observing(self):
            start = time.perf_counter()
            whole = _Frame(None, Run("(step)", ""), start)
            self._frames = [whole]
            try:
                yield self._tallies
            finally:
                elapsed = time.perf_counter() - start
                self._frames = []
        known = sum(tally.seconds for tally in self._tallies.values())
        # What observing took is nobody's time.
        self._tallies[WHOLE_STEP] = Tally("", known + max(0.0, elapsed - whole.inner))

    def run(self, path: str, kind: str, direction: str, call: Callable[[], Any], bytes: int = 0) -> Any:
        """Call something that is not a layer of the model, such as the loss, and record it.

        Args:
            path: the name under which it is recorded.
            kind: what it is, as the class of a layer.
            direction: 'forward', 'backward' or 'step'.
            call: the function.
            bytes: the bytes that it must move at least.
        """
        if direction == "forward" or path not in self._last:
            self._last[path] = Run(path, kind)
        frame = self._enter(call, self._last[path], time.perf_counter())
        start = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - start
        self._leave(call)
        self._add(frame.run, direction, seconds - frame.inner, frame.events, bytes, 0)
        self._not_mine(frame.outside)
        return result

    # ---- what is observed --------------------------------------------------------------------------------------------
    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        outside = time.perf_counter()
        run: Run | None = None
        if isinstance(what, Op):
            run = self._runs.get(what) if phase == "backward" else None
        elif id(what) in self._paths:
            path = self._paths[id(what)]
            run = Run(path, type(what).__name__, what)
            if phase == "backward":
                run = replace(self._last.get(path, run))
        if run is not None:
            self._enter(what, run, outside)
        else:
            self._not_mine(outside)

    def operation(self, op: Op, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        now = time.perf_counter()
        if phase == "forward":
            run = self._frames[-1].run
            if run.layer is not None:
                self._runs[op] = run
                run.operations += 1
                run.operation_bytes += work.operation_bytes(inputs, results)
            self._not_mine(now)
        elif op in self._runs:
            frame = self._leave(op)
            self._add_backward(frame, inputs, results, seconds, now)
            self._not_mine(frame.outside)

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        now = time.perf_counter()
        if id(module) not in self._paths:
            return
        frame = self._leave(module)
        if phase == "forward":
            run, seconds = frame.run, seconds - frame.inner
            run.multiplications, run.input_bytes = work.multiplications(module, inputs), work.nbytes(inputs[:1])
            self._last[run.path] = run
            self.layers.setdefault(run.path, module)
            self.input_shapes[run.path] = getattr(inputs[0], "shape", ()) if inputs else ()
            moved = run.operation_bytes if module._modules else work.forward_bytes(module, inputs, results)
            self._add(run, "forward", seconds, frame.events, moved, run.multiplications)
        else:
            self._add_backward(frame, inputs, results, seconds, now)
        self._not_mine(frame.outside)

    def _enter(self, what: Any, run: Run, outside: float) -> _Frame:
        frame = _Frame(what, run, outside)
        self._frames.append(frame)
        return frame

    def _leave(self, what: Any) -> _Frame:
        """The frame of `what`; those within it that are still there have failed, and somebody caught that."""
        while self._frames[-1].what is not what:
            self._frames.pop()
        return self._frames.pop()

    def _not_mine(self, outside: float) -> None:
        """All since `outside` is not the time of the frame that is on top now."""
        self._frames[-1].inner += time.perf_counter() - outside

    # ---- tallies -----------------------------------------------------------------------------------------------------
    def _add(
        self, run: Run, direction: str, seconds: float, events: list[Event], n_bytes: int, multiplications: int
    ) -> None:
        key = run.path, direction
        if key not in self.order:
            self.order.append(key)
        tally = self._tallies.setdefault(key, Tally(run.kind))
        tally.seconds += seconds
        tally.runs.add(run)
        tally.bytes += n_bytes
        tally.multiplications += multiplications
        for event in events:
            if event.copy_bytes is None:
                tally.kernels[event.name] = None
            else:
                tally.copies.append((event.name, event.copy_bytes))

    def _add_backward(self, frame: _Frame, dy: tuple[Any, ...], gradients: Any, seconds: float, end: float) -> None:
        run, start, seconds = frame.run, end - seconds, seconds - frame.inner
        dx = gradients[0] if isinstance(gradients, tuple) and gradients else gradients
        own_operation = isinstance(frame.what, Op)
        if own_operation and (run.operations > 1 or run.layer._modules):
            moved = dict.fromkeys(DIRECTIONS, work.operation_bytes(dy, gradients))
        else:
            moved = work.backward_bytes(run.layer, run.input_bytes, dy, dx)
        parts = _parts_of_backward(frame.events, start, seconds)
        if run.layer._modules or not parts:
            trained = any(p.requires_grad for p in run.layer.parameters())
            product = ((dx is not None) + trained) * run.multiplications
            if own_operation and not isinstance(gradients, tuple):
                product = 0  # it has no weight
            self._add(run, "backward", seconds, frame.events, moved["backward"], product)
            return
        for direction, (share, events) in parts.items():
            self._add(run, direction, share, events, moved[direction], run.multiplications)

    # ---- what happens within -----------------------------------------------------------------------------------------
    def _note(self, event: Event) -> None:
        if self._frames and threading.get_ident() == self._thread:
            self._frames[-1].events.append(event)

    def kernel(self, name: str, plan: Any = None) -> None:
        end = time.perf_counter()
        self._note(Event(name if plan is None else f"{name} ({plan.way})", end))

    def copied(self, purpose: str, copy: Any) -> None:
        self._note(Event(purpose, time.perf_counter(), copy.nbytes))


def _parts_of_backward(events: list[Event], start: float, seconds: float) -> dict[str, tuple[float, list[Event]]]:
    """{direction: (seconds, events)} of the backward of a convolution; empty if the two are not told apart.

    The gradient of the input comes first; what follows its last function of C is for the weights.
    """
    names = {event.name.partition(" ")[0] for event in events}
    if not names & _OF_DATA:
        return {"backward weight": (seconds, events)} if names & _OF_WEIGHT else {}
    if not names & _OF_WEIGHT:
        return {"backward data": (seconds, events)}
    border = max(event.end for event in events if event.name.partition(" ")[0] in _OF_DATA)
    of_data = min(border - start, seconds)  # what observing takes may be more than all of a small layer
    return {
        "backward data": (of_data, [event for event in events if event.end <= border]),
        "backward weight": (seconds - of_data, [event for event in events if event.end > border]),
    }


def _works(module: nn.Module) -> bool:
    """Whether a module may compute something itself: all but those that only run others in a row."""
    return not module._modules or type(module).forward is not nn.Sequential.forward
