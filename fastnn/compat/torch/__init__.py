"""PyTorch's names over fastnn's own tensors, layers and kernels: `import fastnn.compat.torch as torch`."""

from fastnn.compat.torch._dtype import (
    DTYPES,
    dtype,
    finfo,
    get_default_dtype,
    iinfo,
    set_default_dtype,
)
from fastnn.compat.torch._device import device
from fastnn.compat.torch._pointwise import *
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import Tensor
