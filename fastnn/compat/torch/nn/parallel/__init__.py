"""One machine, one process: what spreads a model over several passes it through."""

import contextlib
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


# Of these nothing depends here.
_SETTINGS = frozenset(
    (
        "batched_grad_copy", "broadcast_buffers", "bucket_cap_mb", "bucket_cap_mb_list", "check_reduction",
        "delay_all_reduce_named_params", "device_mesh", "find_unused_parameters", "forward_sync_buffers",
        "gradient_as_bucket_view", "init_sync", "mixed_precision", "param_to_hook_all_reduce", "process_group",
        "skip_all_reduce_unused_params", "static_graph",
    )
)  # fmt: skip


class DistributedDataParallel(_PassThrough):
    """The module itself; its keys begin with "module.", as in PyTorch."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0, **settings: Any
    ) -> None:
        unknown = sorted(settings.keys() - _SETTINGS)
        if unknown:
            raise TypeError(f"DistributedDataParallel.__init__() got an unexpected keyword argument '{unknown[0]}'")
        super().__init__(module)
        self.dim, self.device_ids, self.output_device = dim, None, None

    def no_sync(self) -> Any:
        """A block in which gradients are not exchanged, as nowhere here."""
        return contextlib.nullcontext()

    join = no_sync


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
