"""Layers that learn the size of their input from the first one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

from fastnn._random import drawing_from
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules import _hooks, _state
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.parameter import is_lazy

__all__ = ["LazyModuleMixin"]

__getattr__ = missing(__name__, ABSENT)


class LazyModuleMixin:
    """A module with parameters whose shapes `initialize_parameters`, called with the first input, finds.

    After that it is of the class `cls_to_become`, if there is one.

    Example:
        >>> import fastnn.compat.torch as torch
        >>> layer = torch.nn.LazyLinear(3)
        >>> layer.weight
        <UninitializedParameter>
        >>> y = layer(torch.zeros(2, 4))
        >>> layer
        Linear(in_features=4, out_features=3, bias=True)
    """

    cls_to_become: ClassVar[type | None] = None
    # The axes of the weight in the order in which they lie in memory, where that is not theirs.
    _weight_in_memory: ClassVar[tuple[int, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        self._load_hook = module._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = module.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give all parameters and buffers their shapes and numbers; called with the arguments of the first forward."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether there is a parameter or a buffer whose shape is not known yet."""
        return any(is_lazy(entry) for _, entry in self._own_entries())

    def _own_entries(self) -> Iterator[tuple[str, Any]]:
        own = self.__dict__
        yield from own["_parameters"].items()
        yield from ((name, _state.buffer_tensor(own, name)) for name in own["_buffers"])

    def _materialize(self, name: str, shape: Any) -> None:
        entry, axes = getattr(self, name), self._weight_in_memory
        if name != "weight" or len(axes) != len(shape):
            entry.materialize(shape)
            return
        memory = np.zeros([shape[axis] for axis in axes], entry.data._data.dtype)
        entry._become(memory.transpose(np.argsort(axes)))

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        _hooks.forget_if_none(module)
        if module.cls_to_become is not None:
            object.__setattr__(module, "__class__", module.cls_to_become)

    def _lazy_load_hook(self, state_dict: Any, prefix: str, *others: Any) -> None:
        for name, entry in list(self._own_entries()):
            value = state_dict.get(prefix + name)
            if is_lazy(entry) and value is not None and not is_lazy(value):
                self._materialize(name, tuple(value.shape))

    def _replicate_for_data_parallel(self) -> None:
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to "
            "correctly initialize the modules"
        )


def unseen() -> AbstractContextManager[None]:
    """Let what is drawn in the block, which nobody sees, leave the script's random numbers as they are."""
    return drawing_from(np.random.Generator(np.random.PCG64(0)))
