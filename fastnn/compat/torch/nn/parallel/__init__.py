"""One machine, one process: what spreads a model over several passes it through."""

from typing import Any

from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]

_ONE = "there is one device: call the module itself"
__getattr__ = missing(__name__, dict.fromkeys(("gather", "parallel_apply", "replicate", "scatter"), _ONE))


class _PassThrough(Module):
    """A module that calls another one, `module`, so that the keys of its state begin with "module."."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        note(f"{type(self).__name__} passes batches through: fastnn computes on one machine, with all its cores")
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DataParallel(_PassThrough):
    """The module itself; its keys begin with "module.", as in PyTorch."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__(module)
        self.dim, self.output_device = dim, None
        self.device_ids: list[int] = []


class DistributedDataParallel(_PassThrough):
    """The module itself; its keys begin with "module.", as in PyTorch."""

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(module)
        self.dim, self.device_ids, self.output_device = dim, None, None


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """`module(*inputs, **module_kwargs)`"""
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*several, **(module_kwargs or {}))
