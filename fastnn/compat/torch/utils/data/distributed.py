"""What several processes would need."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]

__getattr__ = missing(__name__)


class DistributedSampler(Sampler[Any]):
    """Not there: fastnn trains in one process, which uses all cores."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(
            "torch.utils.data.DistributedSampler is not in fastnn, which trains in one process on all cores: use "
            "DataLoader(dataset, shuffle=True) without a sampler"
        )
