"""Weights as a length and a direction.

Source: Salimans and Kingma, 2016, "Weight normalization".
"""

from typing import Any

import numpy as np

from fastnn.autograd.methods import UFUNCS
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_activation import norm_along
from fastnn.compat.torch.nn.parameter import Parameter
from fastnn.compat.torch.nn.utils._derived import derive

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

__getattr__ = missing(__name__)


def norm_but(v: Any, dim: int) -> Tensor:
    """The norm over all axes but one, which are kept as 1; over all with dim=-1"""
    if dim == -1:
        return norm_along(v, 2, None)
    return norm_along(v, 2, tuple(axis for axis in range(v._data.ndim) if axis != dim), True)


def scaled_to(v: Any, g: Any, dim: int) -> Tensor:
    """g * v / |v|"""
    return UFUNCS[np.multiply](v, UFUNCS[np.true_divide](g, norm_but(v, dim)))


class WeightNorm:
    """A hook that computes a weight from `<name>_g`, its length, and `<name>_v`, its direction, before each forward"""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Tensor:
        """g * v / |v|"""
        return scaled_to(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> "WeightNorm":
        """Put it on a module"""
        for hook in _hooks_of(module):
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        found = WeightNorm(name, dim)
        weight = derive(module, name)
        module.register_parameter(f"{name}_g", Parameter(new(norm_but(weight.detach(), found.dim)._data)))
        module.register_parameter(f"{name}_v", Parameter(new(weight._data)))
        setattr(module, name, found.compute_weight(module))
        module.register_forward_pre_hook(found)
        return found

    def remove(self, module: Any) -> None:
        """Let the weight be a parameter again"""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[f"{self.name}_g"], module._parameters[f"{self.name}_v"]
        setattr(module, self.name, Parameter(new(np.array(weight._data))))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _hooks_of(module: Any) -> Any:
    hooks = module.__dict__.get("_hooks")
    return () if hooks is None else hooks.forward_pre.values()


def remove_hook(module: Any, kind: type, name: str) -> Any:
    """Take a hook of this kind and name off a module, and give it; None if there is none"""
    hooks = module.__dict__.get("_hooks")
    for key, hook in list(hooks.forward_pre.items()) if hooks is not None else ():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            del hooks.forward_pre[key]
            return hook
    return None


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be g * v / |v|, with the parameters `<name>_g` and `<name>_v`"""
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Let the weight be a parameter again"""
    hook = remove_hook(module, WeightNorm, name)
    if hook is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    hook.remove(module)
    return module
