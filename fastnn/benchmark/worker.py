"""A contestant in a process of its own: it builds a network, reports what it computes, and times it on request.

Requests come as JSON lines on stdin, and answers go as JSON lines to stdout. Whatever libraries print goes to stderr.
"""

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import _user_network
from fastnn.benchmark import memory

BATCHES = 4  # so that no batch is in cache from the step before
LEARNING_RATE = 1e-3
MOMENTUM = 0.9
LIBRARIES = {"fastnn": ("fastnn.models", "fastnn.optim"), "torch": ("fastnn.models", "torch")}
MEMORY_STEPS = 3  # the most that several steps needed, since blocks of one may outlive it


def build(network: str) -> Any:
    """The network of this name, with the weights that all contestants use."""
    fastnn.manual_seed(0)
    own = _user_network.is_user_network(network)
    model = _user_network.load_network(network) if own else fastnn.models.create(network)
    # As PyTorch, which sees that nobody asks for the gradient of the images.
    model.input_grad = False
    return model


def data(batch: int, shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> list[tuple[NDArray, NDArray]]:
    """Batches of noise with labels, the same for all contestants."""
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((batch, *shape), np.float32), rng.integers(0, classes, batch)) for _ in range(BATCHES)]


class Fastnn:
    """Training steps or inference of fastnn."""

    def __init__(
        self,
        network: str,
        batch: int,
        threads: int,
        inference: bool,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
    ) -> None:
        from fastnn._layout import images, pixels

        fastnn.set_num_threads(threads)
        self.model = build(network).train(not inference)
        batches = data(batch, shape, classes)
        self.batches = [(images(pixels(x)) if x.ndim == 4 else x, y) for x, y in batches]
        self.criterion = fastnn.nn.CrossEntropyLoss()
        self.optimizer = fastnn.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
        self.inference = inference

    def results(self) -> dict[str, NDArray]:
        """The results for the first batch: the loss and all gradients in training, the output in inference."""
        x, y = self.batches[0]
        if self.inference:
            with fastnn.no_grad():
                return {"output": self.model(x)}
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        return {"loss": np.array(loss), **gradients}

    def step(self, number: int) -> float:
        """Train on a batch, or run the forward only. Returns a number that is finite if all results are."""
        x, y = self.batches[number % BATCHES]
        if self.inference:
            with fastnn.no_grad():
                return float(self.model(x)[0, 0])
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        self.optimizer.step()
        return float(loss)


class Torch:
    """The same steps of PyTorch, with NCHW or channels_last tensors, compiled or not."""

    def __init__(
        self,
        network: str,
        batch: int,
        threads: int,
        inference: bool,
        channels_last: bool,
        compiled: bool,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
    ) -> None:
        import torch

        from fastnn.benchmark import torch_twin

        torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.module = torch_twin.twin(build(network)).to(memory_format=layout).train(not inference)
        self.model: Callable[[Any], Any] = torch.compile(self.module) if compiled else self.module
        self.batches = [
            (torch.from_numpy(x).contiguous(memory_format=layout), torch.from_numpy(y))
            for x, y in data(batch, shape, classes)
        ]
        self.criterion = torch.nn.CrossEntropyLoss()
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
        self.inference = inference
        self.inference_mode = torch.inference_mode

    def results(self) -> dict[str, NDArray]:
        x, y = self.batches[0]
        if self.inference:
            with self.inference_mode():
                return {"output": self.model(x).numpy()}
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        gradients = {n: p.grad.numpy() for n, p in self.module.named_parameters() if p.grad is not None}
        return {"loss": np.array(loss.item()), **gradients}

    def step(self, number: int) -> float:
        x, y = self.batches[number % BATCHES]
        if self.inference:
            with self.inference_mode():
                return self.model(x)[0, 0].item()
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def time_steps(step: Callable[[int], Any], first: int, seconds: float) -> dict[str, Any]:
    """Call `step(first)`, `step(first + 1)` and so on for this many seconds.

    The first call is not timed: while other contestants ran, caches went cold and threads went to sleep.

    Returns:
        "seconds": the times of the other calls, at least one; "value": the last result.
    """
    value = step(first)
    times: list[float] = []
    while not times or sum(times) < seconds:
        start = time.perf_counter()
        value = step(first + 1 + len(times))
        times.append(time.perf_counter() - start)
    return {"seconds": times, "value": value}


def peak_memory(side: Any, first: int, before: int) -> dict[str, int]:
    """The bytes that steps need at most, over those of the process with its libraries before the network was made."""
    memory.reset_peak()
    for number in range(MEMORY_STEPS):
        side.step(first + number)
    return {"bytes": memory.peak() - before, "process_bytes": memory.peak()}


def answer(side: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request for results or for times."""
    if request["do"] == "results":
        np.savez(request["path"], **side.results())
        return {}
    return time_steps(side.step, request["first"], request["seconds"])


def serve(begin: Callable[[dict[str, Any]], Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Answer requests until there are no more. `begin` makes the function that answers them from the settings."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # from here on, what is printed does not mix with the answers
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches all contestants; whoever started them tells of it
        answer_to = begin(json.loads(sys.argv[1]))
        for line in sys.stdin:
            answers.write(json.dumps(answer_to(json.loads(line))) + "\n")


def _begin(settings: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    kind = settings.pop("library")
    for name in LIBRARIES[kind]:
        importlib.import_module(name)
    before = memory.resident()
    side: Any = Fastnn(**settings) if kind == "fastnn" else Torch(**settings)

    def answer_to(request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "memory":
            return peak_memory(side, request["first"], before)
        return answer(side, request)

    return answer_to


if __name__ == "__main__":
    serve(_begin)
