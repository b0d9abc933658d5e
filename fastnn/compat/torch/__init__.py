"""PyTorch's names over fastnn's own tensors, layers and kernels: `import fastnn.compat.torch as torch`.

Example:
    >>> import fastnn.compat.torch as torch
    >>> w = torch.ones(3, requires_grad=True)
    >>> (w * torch.arange(3)).sum().backward()
    >>> w.grad.tolist()
    [0.0, 1.0, 2.0]
"""

# ruff: noqa: F401, F403 (all that PyTorch has at top level is made elsewhere)

import math as _math
import warnings as _warnings

from fastnn.compat.torch._conversion import *
from fastnn.compat.torch._creation import *
from fastnn.compat.torch._dtype import DTYPES, dtype, finfo, get_default_dtype, iinfo, set_default_dtype
from fastnn.compat.torch._indexing import *
from fastnn.compat.torch._linalg import *
from fastnn.compat.torch._out import WRITE as _WRITE
from fastnn.compat.torch._out import with_out as _with_out
from fastnn.compat.torch._pointwise import *
from fastnn.compat.torch._random import *
from fastnn.compat.torch._reductions import *
from fastnn.compat.torch._shapes import *
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._special import *
from fastnn.compat.torch._tensor import Tensor
from fastnn.compat.torch._toplevel_rest import *  # with __getattr__

float32 = float = DTYPES["float32"]
float64 = double = DTYPES["float64"]
float16 = half = DTYPES["float16"]
bfloat16 = DTYPES["bfloat16"]
float8_e4m3fn, float8_e5m2 = DTYPES["float8_e4m3fn"], DTYPES["float8_e5m2"]
complex64 = cfloat = DTYPES["complex64"]
complex128 = cdouble = DTYPES["complex128"]
int64 = long = DTYPES["int64"]
int32 = int = DTYPES["int32"]
int16 = short = DTYPES["int16"]
int8, uint8, uint16, uint32, uint64 = (DTYPES[name] for name in ("int8", "uint8", "uint16", "uint32", "uint64"))
bool = DTYPES["bool"]

pi, e, inf, nan = _math.pi, _math.e, _math.inf, _math.nan
newaxis = None

# Infinities and NaN come up without a word, as they do there.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"fastnn\.")

# How the elements of an image lie in memory: fastnn has its own order, and takes any.
contiguous_format, channels_last, preserve_format = "contiguous_format", "channels_last", "preserve_format"
strided, sparse_coo = "strided", "sparse_coo"

from fastnn.compat.torch._of_nn import *  # noqa: E402 (needs what is above)

globals().update({name: _with_out(globals()[name]) for name in _WRITE})
