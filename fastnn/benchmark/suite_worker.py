"""The worker process of a suite: it makes the requested layers or networks one after the other, and times each.

Requests and answers are those of `worker`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn.benchmark import networks
from fastnn.benchmark.layers import LAYERS, Layer
from fastnn.benchmark.networks import NETWORKS, Network
from fastnn.benchmark.worker import BATCHES, LEARNING_RATE, MOMENTUM, answer, serve

__all__ = ["FastnnLayer", "ScriptedNetwork", "TorchLayer", "torch_of"]


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
        x, self.dy = (_in_place(a) for a in _arrays(layer, batch, _out_shape(layer, batch)))
        # A tensor, as in a network: of a caller's array a layer keeps a copy, since it may change.
        self.x = fastnn.tensor(x, requires_grad=not layer.is_first)

    def _run(self) -> fastnn.Tensor:
        self.x.grad = None
        self.model.zero_grad()
        y: fastnn.Tensor = self.model(self.x)
        y.backward(self.dy)
        return y

    def results(self) -> dict[str, NDArray]:
        """The output and all gradients."""
        y = self._run().data
        gradients = {name: p.grad for name, p in self.model.named_parameters()}
        return {"output": y, **({} if self.x.grad is None else {"input": self.x.grad}), **gradients}

    def step(self, number: int) -> float:
        """Run forward and backward once. Returns a number of the result."""
        y = self._run().data
        return float(y[(0,) * y.ndim])


class TorchLayer:
    """Forward and backward of the same layer of PyTorch."""

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


def torch_of(library: str) -> Any:
    """PyTorch, or fastnn's version of it."""
    if library == "torch":
        import torch

        return torch
    import fastnn.compat.torch

    return fastnn.compat.torch


class ScriptedNetwork:
    """Training steps or inference of a network, written as a PyTorch script, for either library."""

    def __init__(
        self, library: str, network: Network, batch: int, threads: int, inference: bool, channels_last: bool = False
    ) -> None:
        self.torch = torch = torch_of(library)
        torch.set_num_threads(threads)
        self.model, self.inference = _network_of(torch, network), inference
        self.loss = torch.nn.CrossEntropyLoss()
        rng = np.random.default_rng(1)
        self.batches = []
        for _ in range(1 if inference else BATCHES):
            x = torch.from_numpy(rng.standard_normal((batch, *network.shape), np.float32))
            self.batches.append((x, torch.from_numpy(rng.integers(0, network.classes, (batch, *network.labels)))))
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.batches = [
                (x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x, y) for x, y in self.batches
            ]
        fused = {"fused": True} if library == "torch" else {}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, **fused)
        self.model.train(not inference)

    def results(self) -> dict[str, NDArray]:
        """The results for the first batch, in evaluation mode: the output, or the loss and all gradients."""
        x, y = self.batches[0]
        self.model.eval()
        if self.inference:
            return {"output": self._scores(x).numpy()}
        loss = self.loss(self.model(x), y)
        loss.backward()
        gradients = {name: p.grad.numpy().copy() for name, p in self.model.named_parameters()}
        self.model.zero_grad()
        self.model.train()
        return {"loss": np.array(loss.item()), **gradients}

    def _scores(self, x: Any) -> Any:
        with self.torch.no_grad():
            return self.model(x)

    def step(self, number: int) -> float:
        """Train on a batch, or run the forward only. Returns a number that is finite if all results are."""
        x, y = self.batches[number % len(self.batches)]
        if self.inference:
            scores = self._scores(x)
            return scores[(0,) * scores.ndim].item()
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def _network_of(torch: Any, network: Network) -> Any:
    """With the weights that all contestants have: those that fastnn makes."""
    import fastnn.compat.torch

    fastnn.compat.torch.manual_seed(0)
    model = networks.make(fastnn.compat.torch, network.name)
    if torch is fastnn.compat.torch:
        return model
    weights = {name: torch.from_numpy(np.array(value.numpy())) for name, value in model.state_dict().items()}
    model = networks.make(torch, network.name)
    model.load_state_dict(weights)
    return model


def _side(library: str, settings: dict[str, Any], request: dict[str, Any]) -> Any:
    """What a request asks to load."""
    if request["suite"] == "networks":
        (network,) = (network for network in NETWORKS if network.name == request["name"])
        return ScriptedNetwork(library, network, request["batch"], inference=request["inference"], **settings)
    kind: Any = FastnnLayer if library == "fastnn" else TorchLayer
    return kind(LAYERS[request["number"]], request["batch"], **settings)


def _begin(settings: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    library = settings.pop("library")
    side: Any = None

    def answer_to(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal side
        if request["do"] == "load":
            side = None  # before the next one needs memory
            side = _side(library, settings, request)
            return {}
        return answer(side, request)

    return answer_to


if __name__ == "__main__":
    serve(_begin)
