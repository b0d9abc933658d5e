"""What a step does to the weights: gradient norms and updates, and what activations do, measured as they happen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, nn
from fastnn.autograd import Observer, Op
from fastnn.doctor.findings import Record

__all__ = ["Activations", "Weights", "norm"]

# Where the derivative of a sigmoid is less than a twentieth of its maximum: there, a unit learns 20 times slower.
FLAT = 0.05
_RECTIFIERS = ("relu", "relu6", "maximum")


def norm(array: NDArray) -> float:
    """The Euclidean norm, summed in double."""
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


class Weights:
    """Measures gradients and updates of the weights of a network: parameters of two or more dimensions.

    Biases and factors of normalisations begin at 0 or 1, so that ratios of their norms mean little.

    Args:
        model: the network.
        record: gets the numbers.
    """

    def __init__(self, model: nn.Module, record: Record) -> None:
        self._model, self._record = model, record
        self._before: dict[str, NDArray] = {}

    def before_step(self) -> None:
        """After backward, before the optimiser's step: note gradient norms, and copy the weights."""
        self._before = {}
        for path, parameter in weights_of(self._model):
            gradient = parameter.grad
            size = 0.0 if gradient is None else norm(np.asarray(gradient))
            self._record.gradient_norms.setdefault(path, []).append(size)
            self._before[path] = _layout.copy(parameter.data)

    def after_step(self) -> None:
        """After the optimiser's step: note the updates over the weights."""
        for path, parameter in weights_of(self._model):
            before = self._before.get(path)
            if before is None or before.shape != parameter.shape:
                continue
            # The larger of the two norms, since a weight that begins at zero has no size yet.
            size = max(norm(before), norm(parameter.data))
            with np.errstate(all="ignore"):
                update = norm(parameter.data - before)
            self._record.update_ratios.setdefault(path, []).append(update / size if size else 0.0)
        self._before = {}


def weights_of(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(path, parameter) of all weights that are trained."""
    return [(path, p) for path, p in model.named_parameters() if p.ndim >= 2 and p.requires_grad]


class Activations(Observer):
    """Looks at rectifiers and sigmoids of a network while it runs forward.

    Attributes:
        alive: path -> for each unit (channel) whether it was ever above 0.
        images: path -> how many images went through.
        flat: path -> how many results of a sigmoid or tanh lie where it is flat, and of how many.
        last: path of the last of all activations, if nothing came after it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._hand_written = {
            id(module)
            for module in model.modules()
            if not module._modules and not type(module).__module__.startswith("fastnn.")
        }
        self._counts: dict[str, int] = {}
        self.alive: dict[str, NDArray] = {}
        self.images: dict[str, int] = {}
        self.flat: dict[str, tuple[int, int]] = {}
        self.last = ""

    def begin(self) -> None:
        """Before each forward of the network."""
        self._counts = {}

    def operation(self, op: Op, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward" and id(op.module) in self._paths and isinstance(results, np.ndarray):
            name = str(getattr(op, "name", type(op).__name__)).lower()
            self._see(name, self._paths[id(op.module)], results)

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        # A layer with a backward of its author's own runs no operations that could be seen.
        if phase == "forward" and id(module) in self._hand_written and isinstance(results, np.ndarray):
            path = self._paths[id(module)]
            if path not in self._counts:
                self._see(_kind_of(module, inputs, results), path, results)

    def _see(self, name: str, path: str, y: NDArray) -> None:
        self.last = ""
        if y.ndim < 2 or not y.size or name not in (*_RECTIFIERS, "sigmoid", "tanh"):
            return
        number = self._counts[path] = self._counts.get(path, 0) + 1
        place = path if number == 1 else f"{path}#{number}"  # several within one forward
        self.last = place
        if name in _RECTIFIERS:
            axis = y.ndim - 1 if y.ndim == 3 else 1
            alive: NDArray = np.atleast_1d((y > 0).any(axis=tuple(i for i in range(y.ndim) if i != axis)))
            known = self.alive.get(place)
            self.alive[place] = alive if known is None or known.shape != alive.shape else known | alive
            self.images[place] = self.images.get(place, 0) + len(y)
            return
        slope = 1 - np.square(y) if name == "tanh" else 4 * y * (1 - y)
        flat, n = self.flat.get(place, (0, 0))
        self.flat[place] = flat + int((slope < FLAT).sum()), n + y.size


def _kind_of(module: nn.Module, inputs: tuple[Any, ...], y: NDArray) -> str:
    """What a layer of the user's own is: a rectifier by what it does, a sigmoid or tanh by its name."""
    x = inputs[0] if len(inputs) == 1 else None
    if isinstance(x, np.ndarray) and x.shape == y.shape and x.dtype.kind == "f" and np.array_equal(y, np.maximum(x, 0)):
        return "relu"
    name = type(module).__name__.lower()
    return next((kind for kind in ("sigmoid", "tanh") if kind in name and "hard" not in name), "")
