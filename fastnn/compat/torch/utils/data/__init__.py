"""torch.utils.data: data sets, samplers, loaders."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data import _utils
from fastnn.compat.torch.utils.data._utils.collate import default_collate, default_convert
from fastnn.compat.torch.utils.data._utils.worker import get_worker_info
from fastnn.compat.torch.utils.data.dataloader import DataLoader, _DatasetKind
from fastnn.compat.torch.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from fastnn.compat.torch.utils.data.distributed import DistributedSampler
from fastnn.compat.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "_DatasetKind",
    "_utils",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]

_PIPES = "iterate over an IterableDataset, or over a Dataset of items"
__getattr__ = missing(__name__, dict.fromkeys(("DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe"), _PIPES))
