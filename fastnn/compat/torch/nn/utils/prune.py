"""Parameters with elements set to 0, by masks.

A pruned parameter `weight` is `weight_orig`, which is trained, times the buffer `weight_mask`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _random
from fastnn.autograd.methods import UFUNCS
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn.utils._derived import derive

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip

__getattr__ = missing(__name__)


# ---- methods ---------------------------------------------------------------------------------------------------------
class BasePruningMethod(ABC):
    """A way to choose what is pruned: a subclass sets PRUNING_TYPE and defines `compute_mask`

    Attributes:
        PRUNING_TYPE: 'unstructured', 'structured' or 'global'.
    """

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str = ""

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """A mask like `default_mask`, in which more is 0, by how important `t` says that elements are"""

    def apply_mask(self, module: Any) -> Tensor:
        """The parameter, times the mask"""
        if not self._tensor_name:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, f"{self._tensor_name}_orig")
        mask = module._buffers[f"{self._tensor_name}_mask"]
        return UFUNCS[np.multiply](new(mask.astype(original._data.dtype)), original)

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune a parameter by this method, after those by which it is pruned already"""
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        before = _take_hook(module, name)
        if before is not None:
            container = before if isinstance(before, PruningContainer) else PruningContainer(before)
            container.add_pruning_method(method)
            method = container
        parameter = getattr(module, name)
        scores = parameter if importance_scores is None else importance_scores
        try:
            if scores._data.shape != parameter._data.shape:
                raise AssertionError(
                    f"importance_scores should have the same shape as parameter {name} of {module}, got "
                    f"{tuple(scores._data.shape)} vs {tuple(parameter._data.shape)}"
                )
            known = module._buffers.get(f"{name}_mask")
            default = np.ones_like(parameter._data) if before is None else known.copy()
            mask = method.compute_mask(scores.detach(), default_mask=new(default))
        except Exception:
            if before is not None:
                module.register_forward_pre_hook(before)
            raise
        if before is None:
            module.register_parameter(f"{name}_orig", derive(module, name))
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Tensor:
        """`t`, pruned by this method"""
        scores = t if importance_scores is None else importance_scores
        if scores._data.shape != t._data.shape:
            raise AssertionError(
                "importance_scores should have the same shape as tensor t, got "
                f"{tuple(scores._data.shape)} vs {tuple(t._data.shape)}"
            )
        default = new(np.ones_like(t._data)) if default_mask is None else default_mask
        mask = self.compute_mask(scores, default_mask=default)
        return UFUNCS[np.multiply](t, new(mask._data.astype(t._data.dtype)))

    def remove(self, module: Any) -> None:
        """Let the parameter be what the mask left of it"""
        name = self._tensor_name
        weight = self.apply_mask(module)
        delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        delattr(module, f"{name}_mask")
        original.data = new(np.array(weight._data))
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Several methods, one after the other"""

    PRUNING_TYPE = "container"

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add one that acts on the same parameter"""
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask of the last method, of what the ones before left"""
        method, mask = self._pruning_methods[-1], default_mask._data
        left: Any
        if method.PRUNING_TYPE == "unstructured":
            left = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t._data.ndim
            kept = mask.sum(tuple(axis for axis in range(mask.ndim) if axis != dim)) != 0
            left = (slice(None),) * dim + (kept,)
        elif method.PRUNING_TYPE == "global":
            left = ...
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        part = method.compute_mask(new(t._data[left]), default_mask=new(mask[left]))
        result = mask.copy()
        result[left] = part._data
        return new(result)


class Identity(BasePruningMethod):
    """Nothing is pruned, so that masks can be put there by hand"""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        return default_mask


class _Chosen(BasePruningMethod):
    """Methods that prune a number of elements or channels, or a part of them."""

    def __init__(self, amount: float) -> None:
        if isinstance(amount, bool) or not isinstance(amount, int | float | np.number):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        if amount < 0 or (not isinstance(amount, int | np.integer) and amount > 1):
            raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
        self.amount = amount

    def count(self, size: int) -> int:
        """How many of so many"""
        if not isinstance(self.amount, int | np.integer):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(f"amount={self.amount} should be smaller than the number of parameters to prune={size}")
        return int(self.amount)


def _without(mask: NDArray, places: Any) -> Tensor:
    result = mask.copy()
    result[places] = 0
    return new(result)


class RandomUnstructured(_Chosen):
    """Any elements"""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        mask = default_mask._data
        chosen = _random.generator().permutation(mask.size)[: self.count(t._data.size)]
        return _without(mask, np.unravel_index(chosen, mask.shape))


class L1Unstructured(_Chosen):
    """The elements that are nearest to 0"""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        mask = default_mask._data
        chosen = np.argsort(np.abs(t._data), None, kind="stable")[: self.count(t._data.size)]
        return _without(mask, np.unravel_index(chosen, mask.shape))


class _Channels(_Chosen):
    """Methods that prune whole channels along an axis."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def importance(self, t: NDArray, dim: int) -> NDArray:
        """A number for each channel: the smallest are pruned"""
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        array, dim = t._data, self.dim
        if array.ndim < 2:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{tuple(array.shape)} with {array.ndim} dims"
            )
        if not -array.ndim <= dim < array.ndim:
            raise IndexError(f"Invalid index {dim} for tensor of size {tuple(array.shape)}")
        dim %= array.ndim
        order = np.argsort(self.importance(array, dim), kind="stable")
        chosen = order[: self.count(array.shape[dim])]
        return _without(default_mask._data, (slice(None),) * dim + (chosen,))


class RandomStructured(_Channels):
    """Any channels"""

    def importance(self, t: NDArray, dim: int) -> NDArray:
        return np.asarray(_random.generator().random(t.shape[dim]))


class LnStructured(_Channels):
    """The channels with the smallest norm"""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def importance(self, t: NDArray, dim: int) -> NDArray:
        rows = np.moveaxis(t, dim, 0).reshape(t.shape[dim], -1)
        if self.n == "fro":
            return np.asarray(np.linalg.norm(rows, axis=1))
        if self.n == "nuc":
            raise ValueError("LnStructured: the nuclear norm is not there: use a number or 'fro'")
        return np.asarray(np.linalg.norm(rows, float(self.n), axis=1))


class CustomFromMask(BasePruningMethod):
    """Where a mask says so"""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        mask = default_mask._data
        if mask.shape != self.mask._data.shape:
            raise AssertionError(
                f"CustomFromMask: shapes differ: {tuple(mask.shape)} and {tuple(self.mask._data.shape)}"
            )
        return new(mask * self.mask._data.astype(mask.dtype))


# ---- functions -------------------------------------------------------------------------------------------------------
def _hooks(module: Any) -> dict[int, Any]:
    hooks = module.__dict__.get("_hooks")
    return {} if hooks is None else hooks.forward_pre


def _take_hook(module: Any, name: str) -> Any:
    """The method by which this parameter is pruned, taken off the module; None if there is none."""
    hooks = _hooks(module)
    for key, hook in list(hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hooks.pop(key)
    return None


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones"""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: float) -> Any:
    """Prune a number, or a part, of the elements of a parameter"""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: float, importance_scores: Any = None) -> Any:
    """Prune the elements that are nearest to 0, or least important"""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: float, dim: int) -> Any:
    """Prune a number, or a part, of the channels along an axis"""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: float, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Prune the channels with the smallest norm"""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prune where a mask is 0"""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Prune the elements of several parameters, pairs of module and name, as if they were one"""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    pairs = list(parameters)
    method = PruningContainer()
    method._tensor_name = "temp"
    single = pruning_method(**kwargs)
    single._tensor_name = "temp"
    if single.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of '
            f"type {single.PRUNING_TYPE}"
        )
    method.add_pruning_method(single)
    importance = [scores.get(pair, getattr(*pair))._data.reshape(-1) for pair in pairs]
    masks = [module._buffers.get(f"{name}_mask") for module, name in pairs]
    known = [
        np.ones_like(values) if mask is None else mask.reshape(-1)
        for values, mask in zip(importance, masks, strict=True)
    ]
    mask = method.compute_mask(new(np.concatenate(importance)), new(np.concatenate(known)))._data
    start = 0
    for module, name in pairs:
        array = getattr(module, name)._data
        custom_from_mask(module, name, new(mask[start : start + array.size].reshape(array.shape)))
        start += array.size


def remove(module: Any, name: str) -> Any:
    """Let the parameter be what is left of it"""
    method = _take_hook(module, name)
    if method is None:
        raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
    method.remove(module)
    return module


def is_pruned(module: Any) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned"""
    return any(isinstance(hook, BasePruningMethod) for part in module.modules() for hook in _hooks(part).values())
