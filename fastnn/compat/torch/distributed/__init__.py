"""torch.distributed: several processes that train one model. Here one process does, with threads."""

from fastnn.compat.torch._missing import missing

__all__ = [
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
]


def is_available() -> bool:
    """Whether processes can work together: no."""
    return False


is_initialized = is_gloo_available = is_mpi_available = is_nccl_available = is_available
is_torchelastic_launched = is_ucc_available = is_xccl_available = is_available

_ADVICE = "one process trains, with as many threads as torch.set_num_threads(n) says: run the script without launcher"
_NAMES = (
    "ReduceOp", "all_gather", "all_gather_object", "all_reduce", "barrier", "broadcast", "broadcast_object_list",
    "destroy_process_group", "gather", "get_backend", "get_rank", "get_world_size", "init_device_mesh",
    "init_process_group", "new_group", "recv", "reduce", "reduce_scatter", "rpc", "scatter", "send", "elastic", "fsdp",
    "optim", "pipelining", "tensor",
)  # fmt: skip
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
