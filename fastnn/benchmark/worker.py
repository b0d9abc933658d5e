"""One side of compare_torch.py, in a process of its own: builds a network, checks a step, times steps when asked.

Requests come as JSON lines on stdin, answers go as JSON lines to stdout. Whatever libraries print goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn

BATCHES = 4  # so that no batch is in cache from the step before
LEARNING_RATE = 1e-3
MOMENTUM = 0.9


def build(network: str) -> Any:
    fastnn.manual_seed(0)
    model = fastnn.models.create(network)
    # As PyTorch, which sees that nobody asks for the gradient of the images.
    model.input_grad = False
    return model


def data(batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((batch, 3, 32, 32), np.float32), rng.integers(0, 10, batch)) for _ in range(BATCHES)]


class Fastnn:
    """Training steps of fastnn."""

    def __init__(self, network: str, batch: int, threads: int) -> None:
        from fastnn._layout import images, pixels

        fastnn.set_num_threads(threads)
        self.model = build(network)
        self.batches = [(images(pixels(x)), y) for x, y in data(batch)]
        self.criterion = fastnn.nn.CrossEntropyLoss()
        self.optimizer = fastnn.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        x, y = self.batches[0]
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        return float(loss), {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def step(self, number: int) -> float:
        x, y = self.batches[number % BATCHES]
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        self.optimizer.step()
        return float(loss)


class Torch:
    """Training steps of PyTorch: NCHW or channels_last, as it is or compiled."""

    def __init__(self, network: str, batch: int, threads: int, channels_last: bool, compiled: bool) -> None:
        import torch
        import torch_models

        torch.set_num_threads(threads)
        memory = torch.channels_last if channels_last else torch.contiguous_format
        self.module = torch_models.twin(build(network)).to(memory_format=memory)
        self.model: Callable[[Any], Any] = torch.compile(self.module) if compiled else self.module
        self.batches = [
            (torch.from_numpy(x).contiguous(memory_format=memory), torch.from_numpy(y)) for x, y in data(batch)
        ]
        self.criterion = torch.nn.CrossEntropyLoss()
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        x, y = self.batches[0]
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        return loss.item(), {n: p.grad.numpy() for n, p in self.module.named_parameters() if p.grad is not None}

    def step(self, number: int) -> float:
        x, y = self.batches[number % BATCHES]
        loss = self.criterion(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def time_steps(side: Any, first: int, seconds: float) -> dict[str, Any]:
    """Steps for `seconds`, after one that is not timed: while others ran, caches went cold and threads fell asleep."""
    loss = side.step(first)
    times: list[float] = []
    while not times or sum(times) < seconds:
        start = time.perf_counter()
        loss = side.step(first + 1 + len(times))
        times.append(time.perf_counter() - start)
    return {"seconds": times, "loss": loss}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # from here on, what is printed does not mix with the answers
    settings = json.loads(sys.argv[1])
    kind = settings.pop("library")
    side = Fastnn(**settings) if kind == "fastnn" else Torch(**settings)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "gradients":
            loss, gradients = side.gradients()
            np.savez(request["path"], **gradients)
            answer: dict[str, Any] = {"loss": loss}
        else:
            answer = time_steps(side, request["first"], request["seconds"])
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
