"""One contestant of the suite of layers: makes the layers that it is told, one after the other, and times each.

Requests and answers: as `worker`.
"""

import contextlib
import json
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn.benchmark.layers import LAYERS, Layer
from fastnn.benchmark.worker import time_steps

__all__ = ["FastnnLayer", "TorchLayer"]


def _arrays(layer: Layer, batch: int, out: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    """x and the gradient of y, the same for all contestants."""
    rng = np.random.default_rng(1)
    return rng.standard_normal(layer.shape(batch), np.float32), rng.standard_normal(out, np.float32)


def _out_shape(layer: Layer, batch: int) -> tuple[int, ...]:
    if not layer.size:
        return batch * layer.rows, layer.c_out
    return batch, layer.c_out, layer.out_size, layer.out_size


def _made(layer: Layer) -> Any:
    """With the weights that all contestants have."""
    fastnn.manual_seed(0)
    return layer.make()


def _in_place(x: NDArray) -> NDArray:
    """As an activation lies in memory that a layer of fastnn made."""
    from fastnn._layout import images, pixels

    return images(pixels(x)) if x.ndim == 4 else x


class FastnnLayer:
    """Forward and backward of a layer of fastnn."""

    def __init__(self, layer: Layer, batch: int, threads: int) -> None:
        fastnn.set_num_threads(threads)
        self.model = _made(layer)
        self.model.input_grad = not layer.is_first
        self.x, self.dy = (_in_place(a) for a in _arrays(layer, batch, _out_shape(layer, batch)))

    def _run(self) -> tuple[NDArray, NDArray | None]:
        self.model.zero_grad()
        y = self.model(self.x)
        return y, self.model.backward(self.dy)

    def results(self) -> dict[str, NDArray]:
        """The output and all gradients."""
        y, dx = self._run()
        gradients = {name: p.grad for name, p in self.model.named_parameters()}
        return {"output": y, **({} if dx is None else {"input": dx}), **gradients}

    def step(self, number: int) -> float:
        """Once; a number of the result."""
        y, _ = self._run()
        return float(y[(0,) * y.ndim])


class TorchLayer:
    """The same of PyTorch."""

    def __init__(self, layer: Layer, batch: int, threads: int, channels_last: bool) -> None:
        import torch

        from fastnn.benchmark import torch_twin

        torch.set_num_threads(threads)
        self.model = torch_twin.twin(_made(layer))
        x, dy = (torch.from_numpy(a) for a in _arrays(layer, batch, _out_shape(layer, batch)))
        if channels_last and x.ndim == 4:
            self.model = self.model.to(memory_format=torch.channels_last)
            x, dy = (a.contiguous(memory_format=torch.channels_last) for a in (x, dy))
        self.x, self.dy = x.requires_grad_(not layer.is_first), dy

    def _run(self) -> Any:
        self.x.grad = None
        self.model.zero_grad()
        y = self.model(self.x)
        y.backward(self.dy)
        return y

    def results(self) -> dict[str, NDArray]:
        y = self._run().detach().numpy()
        gradients = {name: p.grad.numpy() for name, p in self.model.named_parameters()}
        return {"output": y, **({} if self.x.grad is None else {"input": self.x.grad.numpy()}), **gradients}

    def step(self, number: int) -> float:
        y = self._run()
        return y[(0,) * y.ndim].item()


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # from here on, what is printed does not mix with the answers
    settings = json.loads(sys.argv[1])
    kind = FastnnLayer if settings.pop("library") == "fastnn" else TorchLayer
    side: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if request["do"] == "layer":
            side = None  # before the next one needs memory
            side = kind(LAYERS[request["number"]], request["batch"], **settings)
        elif request["do"] == "results":
            np.savez(request["path"], **side.results())
        else:
            answer = time_steps(side.step, request["first"], request["seconds"])
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches all contestants; whoever started them tells of it
        main()
