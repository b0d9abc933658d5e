"""PyTorch's files without PyTorch: `read_pth` and `write_pth`.

Both work on nested objects. Arrays take the place of tensors, unless the caller says what does: `read_pth(file,
make=Makers(...))` makes tensors, parameters, sizes, dtypes and devices of any kind, and `write_pth(obj, file,
stands_for=...)` asks of each object whether it is one of these. Files are names or open binary files.

    >>> import io
    >>> import numpy as np
    >>> from fastnn import Tensor, tensor
    >>> from fastnn.training._pth import AsTensor, Makers, read_pth, write_pth
    >>> def stands_for(value):
    ...     return AsTensor(value.data, value.requires_grad) if isinstance(value, Tensor) else None
    >>> file = io.BytesIO()
    >>> x = tensor(np.arange(4, dtype=np.float32))
    >>> write_pth({"all": x, "first": x[:2], "epoch": 3}, file, stands_for=stands_for)
    >>> loaded = read_pth(file, make=Makers(tensor=lambda array, requires_grad: Tensor(array)))
    >>> loaded["first"].data[0] = 7
    >>> float(loaded["all"].data[0])
    7.0

makers.py         what takes the place of PyTorch's objects
reading.py        which format it is; the zip archive of PyTorch 1.6 and later
old_format.py     the format before
archive.py        zip archives
machine.py        the instructions of pickles
allowed.py        the names that a pickle may use
tensors.py        storages and views of them
numpy_objects.py  NumPy's arrays and numbers
writing.py        the zip archive again, the other way round
pickling.py       objects as instructions of pickles
sharing.py        which arrays get a storage of their own
state_dict.py     the weights of networks
"""

from fastnn.training._pth.makers import AsDevice, AsDType, AsSize, AsTensor, Makers
from fastnn.training._pth.reading import read_pth
from fastnn.training._pth.state_dict import PTH_SUFFIXES, is_file_of_pytorch, read_state_dict, write_state_dict
from fastnn.training._pth.writing import write_pth

__all__ = [
    "PTH_SUFFIXES",
    "AsDType",
    "AsDevice",
    "AsSize",
    "AsTensor",
    "Makers",
    "is_file_of_pytorch",
    "read_pth",
    "read_state_dict",
    "write_pth",
    "write_state_dict",
]
