"""Running the steps of a profile."""

import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import _arguments, _check, _machine, _runtime, _several, nn, optim
from fastnn.autograd.tensor import mapped, tensor
from fastnn.insight._state import preserved
from fastnn.profiling import work
from fastnn.profiling.algorithms import algorithm_of
from fastnn.profiling.recorder import DIRECTIONS, WHOLE_STEP, Key, Recorder, Tally
from fastnn.profiling.result import Copy, Profile, ProfileRow, make_row

__all__ = ["profile", "training_step"]


def profile(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Any = None,
    optimizer: optim.Optimizer | None = None,
    rounds: int = 7,
    warmup: int = 1,
) -> Profile:
    """Time every layer of a training step: forward, loss, backward and, if an optimiser is given, its update.

    Times are medians over the rounds. Each round also measures the machine's peak of multiply-adds and its memory
    bandwidth, with which the layers are compared. Observing a layer costs some microseconds, which are not attributed
    to it. What lies between layers has its own row. Everything runs with `fastnn.num_threads()` threads.

    Neither the model nor the optimiser is changed. Parameters, gradients, buffers, modes, optimiser state and the
    random generator are afterwards what they were, bit for bit.

    Args:
        model: the network. It runs in training mode.
        x: a batch of inputs. For several inputs: a tuple, used as `model(*x)`, or a dict, used as `model(**x)`. Images
            from a `data.Loader` are pixel-major in memory; others are copied, and the profile reports the copy.
        y: the targets of the batch, one array or several.
        loss: the loss function of the model's output and y: a loss of `nn`, an object that is called in the same way
            and has `backward()`, or a function of tensors. None (default): `nn.CrossEntropyLoss()`.
        optimizer: the optimiser of the model's parameters. None (default) leaves the update out.
        rounds: the number of steps that are measured. Default 7.
        warmup: the number of steps before those, which fill the caches. Default 1.
    Shape:
        - x: what the model takes, usually (N, C, H, W), float32 or float64
        - y: what the loss takes, (N,) labels for the cross-entropy
    Returns:
        A `profiling.Profile`, which prints as a table.
    Raises:
        ValueError: rounds or warmup is too small, or x holds no images; and all errors of the layers and the loss.
        TypeError: model is not an `nn.Module`.
    Example:
        >>> import fastnn
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
        >>> profile = fastnn.profile(model, np.ones((8, 1, 4, 4), np.float32), np.arange(8) % 2, rounds=1)
        >>> [(row.path, row.direction, row.multiplications) for row in profile.rows[:3]]
        [('0', 'forward', 1600), ('0', 'backward data', 1600), ('0', 'backward weight', 1600)]
    """
    _arguments.model("profile", "model", model)
    if loss is not None:
        _arguments.function("profile", "loss", loss, may_be_class=False)
    if optimizer is not None and not hasattr(optimizer, "param_groups"):
        raise TypeError(f"profile: optimizer must be an optimizer. Received: {_check.shown(optimizer)}")
    rounds = _check.integer("profile", "rounds", rounds, 1)
    warmup = _check.integer("profile", "warmup", warmup, 0)
    x, y = _arrays("x", x), _arrays("y", y)
    inputs = [part for _, part in _several.parts("x", x)]
    for name, part in _several.parts("x", x):
        if part.ndim < 1 or not part.size:
            raise ValueError(f"profile: {name} must hold at least one image. Received: {name}.shape={part.shape}")
        if part.dtype.kind == "f":
            _check.floats("profile", name, part[:0])  # as it lies and whatever its byte order, since that is told
    criterion = nn.CrossEntropyLoss() if loss is None else loss
    floats = [part.dtype.newbyteorder("=") for part in inputs if part.dtype.kind == "f"]
    dtype = floats[0] if floats else np.dtype(np.float32)
    recorder = Recorder(model)
    steps: list[dict[Key, Tally]] = []
    machine = _Machine(dtype)
    with preserved(model), left_as_found(model, optimizer):
        model.train()
        for number in range(-warmup, rounds):
            if number >= 0:
                machine.measure()
            tallies = _step(recorder, model, x, y, criterion, optimizer)
            if number >= 0:
                steps.append(tallies)
    isa, isa_why = _isa()
    return Profile(
        rows=tuple(_rows(recorder, steps, machine)),
        batch_size=len(inputs[0]),
        rounds=rounds,
        threads=_runtime.num_threads(),
        dtype=str(dtype),
        isa=isa,
        isa_why=isa_why,
        cpu=_machine.cpu_name(),
        peak_gflops=machine.peak,
        bandwidth_gbs=machine.bandwidth,
    )


def _arrays(name: str, given: Any) -> Any:
    """`given` as an array of numbers; a tuple or a dict of them for several."""
    if not _several.is_several(given):
        return _check.reals("profile", name, given)
    checked = {label: _check.reals("profile", label, part) for label, part in _several.parts(name, given)}
    return dict(zip(given, checked.values(), strict=True)) if isinstance(given, dict) else tuple(checked.values())


def _isa() -> tuple[str, str]:
    """The instruction set whose kernels run, and why."""
    if _runtime.uses_reference():
        return "reference", "the 'reference' backend was chosen"
    name, best = _runtime.isa(), _runtime.available_isas()[-1]
    if name != best:
        return name, f"it was chosen, though {best} is there"
    return name, "the best that this build, this CPU and its system have"


class _Machine:
    """What the machine can do while the profile runs."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._peaks: list[float] = []
        self._bandwidths: list[float] = []
        self._stream = None if _runtime._native is None else _machine.Stream(dtype)

    def measure(self) -> None:
        """Once a round, so that a clock that drifts, drifts for both."""
        if self._stream is not None:
            threads = _runtime.num_threads()
            self._peaks.append(_machine.fma_peak(self._dtype, threads, repeats=3))
            self._bandwidths.append(self._stream.bandwidth(threads))

    @property
    def peak(self) -> float | None:
        return statistics.median(self._peaks) if self._peaks else None

    @property
    def bandwidth(self) -> float | None:
        return statistics.median(self._bandwidths) if self._bandwidths else None


def _step(
    recorder: Recorder, model: nn.Module, x: Any, y: Any, criterion: Any, optimizer: optim.Optimizer | None
) -> dict[Key, Tally]:
    """One observed training step."""
    with recorder.step() as tallies:
        training_step(model, x, y, criterion, optimizer, recorder.run)
    return tallies


def _just_call(path: str, kind: str, direction: str, call: Callable[[], Any], bytes: int = 0) -> Any:
    return call()


def training_step(
    model: nn.Module,
    x: Any,
    y: Any,
    criterion: Any,
    optimizer: optim.Optimizer | None,
    run: Callable[..., Any] = _just_call,
) -> None:
    """One training step, from cleared gradients to updated weights. `run` calls the loss and the optimiser."""
    for parameter in model.parameters():
        parameter.grad = None
    name = getattr(criterion, "__name__", type(criterion).__name__)
    output = _several.call(model, x)
    n_bytes = work.nbytes(output)
    if hasattr(criterion, "backward") and (isinstance(output, np.ndarray) or _wrote_backward(criterion)):
        run("(loss)", name, "forward", lambda: criterion(output, y), n_bytes)
        dy = run("(loss)", name, "backward", criterion.backward)
    else:
        leaves = mapped(_leaf, output)
        loss = run("(loss)", name, "forward", lambda: criterion(leaves, y), n_bytes)
        run("(loss)", name, "backward", loss.backward)
        dy = mapped(lambda leaf: getattr(leaf, "grad", None), leaves)
    model.backward(dy)
    if optimizer is not None:
        run("(optimizer)", type(optimizer).__name__, "step", optimizer.step, _optimizer_bytes(optimizer))


def _wrote_backward(criterion: Any) -> bool:
    return not getattr(criterion.backward, "is_derived", False)


def _leaf(array: Any) -> Any:
    """An array of floats as a tensor that wants its gradient; what is no array stays."""
    return tensor(array, requires_grad=array.dtype.kind == "f") if isinstance(array, np.ndarray) else array


def _optimizer_bytes(optimizer: optim.Optimizer) -> int:
    """Each gradient is read, each trained parameter and each array of its state is read and written."""
    total = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.requires_grad:
                state = optimizer.state.get(parameter, {}).values()
                total += parameter.grad.nbytes + 2 * parameter.data.nbytes
                total += 2 * sum(value.nbytes for value in state if isinstance(value, np.ndarray))
    return total


@contextlib.contextmanager
def left_as_found(model: nn.Module, optimizer: optim.Optimizer | None) -> Iterator[None]:
    """A context manager that restores what `preserved` does not: what layers keep and draw from, and the optimiser."""
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    own = [value for _, values in attributes for value in values.values() if isinstance(value, np.random.Generator)]
    states = [(generator, generator.bit_generator.state) for generator in own]
    with contextlib.ExitStack() as stack:
        if optimizer is not None:
            stack.enter_context(_optimizer_as_found(optimizer))
        try:
            yield
        finally:
            for module, values in attributes:
                vars(module).clear()
                vars(module).update(values)
            for generator, state in states:
                generator.bit_generator.state = state


@contextlib.contextmanager
def _optimizer_as_found(optimizer: optim.Optimizer) -> Iterator[None]:
    """Within the block the optimiser writes into copies."""
    groups = [(group, dict(group)) for group in optimizer.param_groups]
    parameters = [parameter for group, _ in groups for parameter in group["params"]]
    arrays = [(parameter, parameter.data, parameter.grad) for parameter in parameters]
    state = optimizer.state
    optimizer.state = {
        parameter: {name: value.copy("K") if isinstance(value, np.ndarray) else value for name, value in values.items()}
        for parameter, values in state.items()
    }
    for parameter in parameters:
        parameter.data = parameter.data.copy("K")
    try:
        yield
    finally:
        optimizer.state = state
        for group, values in groups:
            group.clear()
            group.update(values)
        for parameter, data, grad in arrays:
            parameter.data, parameter.grad = data, grad


# ---- from steps to rows ----------------------------------------------------------------------------------------------
def _rows(recorder: Recorder, steps: list[dict[Key, Tally]], machine: _Machine) -> Iterator[ProfileRow]:
    """By layer in the order of the forwards, then by direction; the loss, the optimiser and the rest come last."""
    # A network may leave layers out at random: a layer took no time in a step in which it did not run.
    keys = [key for key in recorder.order if any(key in step for step in steps)]
    nothing = Tally("")
    medians = {key: statistics.median(step.get(key, nothing).seconds for step in steps) for key in keys}
    rest = statistics.median(
        step[WHOLE_STEP].seconds - sum(step.get(key, nothing).seconds for key in keys) for step in steps
    )
    whole = sum(medians.values()) + rest
    paths = [*recorder.layers, "(loss)", "(optimizer)"]
    position = {path: index for index, path in enumerate(paths)}
    for path, direction in sorted(keys, key=lambda key: (position[key[0]], DIRECTIONS.index(key[1]))):
        tally = next(step[path, direction] for step in reversed(steps) if (path, direction) in step)
        algorithm, why = algorithm_of(recorder.layers.get(path), direction, recorder.input_shapes.get(path, ()))
        yield make_row(
            machine.peak, machine.bandwidth,
            path=path, kind=tally.kind, direction=direction, calls=tally.calls, seconds=medians[path, direction],
            share=medians[path, direction] / whole, multiplications=tally.multiplications, bytes=tally.bytes,
            kernels=tuple(tally.kernels), algorithm=algorithm, why=why, copies=_copies(tally),
        )  # fmt: skip
    yield make_row(
        machine.peak, machine.bandwidth,
        path="(rest)", kind="", direction="step", calls=0, seconds=rest, share=rest / whole, multiplications=0, bytes=0,
    )  # fmt: skip


def _copies(tally: Tally) -> tuple[Copy, ...]:
    sizes: dict[str, list[int]] = {}
    for purpose, n_bytes in tally.copies:
        sizes.setdefault(purpose, []).append(n_bytes)
    return tuple(Copy(purpose, len(found), sum(found)) for purpose, found in sizes.items())
