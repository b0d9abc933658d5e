"""PyTorch's files without PyTorch: `read_pth` and `write_pth`.

reading.py        which format it is; the zip archive of PyTorch 1.6 and later
old_format.py     the format before
archive.py        zip archives
machine.py        the instructions of pickles
allowed.py        the names that a pickle may use
tensors.py        storages and views of them
numpy_objects.py  NumPy's arrays and numbers
writing.py        the zip archive again, the other way round
"""

from fastnn.training._pth.reading import read_pth
from fastnn.training._pth.state_dict import PTH_SUFFIXES, is_file_of_pytorch, read_state_dict, write_state_dict
from fastnn.training._pth.writing import write_pth

__all__ = ["PTH_SUFFIXES", "is_file_of_pytorch", "read_pth", "read_state_dict", "write_pth", "write_state_dict"]
