"""torch.special: functions of mathematics, element by element."""

import math
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._of_nn import log_softmax, softmax
from fastnn.compat.torch._out import with_out
from fastnn.compat.torch._pointwise import add, exp2, expm1, log1p, logit, mul, neg, round, where, xlogy
from fastnn.compat.torch._pointwise import sigmoid as expit
from fastnn.compat.torch._promotion import as_float, tensor_from
from fastnn.compat.torch._reductions import logsumexp
from fastnn.compat.torch._special import digamma, erf, erfc, erfinv, sinc
from fastnn.compat.torch._special import lgamma as gammaln
from fastnn.compat.torch._special import mvlgamma as multigammaln
from fastnn.compat.torch._tensor import Tensor, checked_out, new

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]

psi = digamma
logit, logsumexp, multigammaln, xlogy = map(with_out, (logit, logsumexp, multigammaln, xlogy))  # type: ignore[arg-type]


def ndtr(input: Any, *, out: Any = None) -> Tensor:
    """The share of a normal distribution below x."""
    return checked_out(mul(erfc(mul(as_float(input), -math.sqrt(0.5))), 0.5), out)


def ndtri(input: Any, *, out: Any = None) -> Tensor:
    """What a share x of a normal distribution is below of."""
    return checked_out(mul(erfinv(add(mul(as_float(input), 2.0), -1.0)), math.sqrt(2)), out)


def entr(input: Any, *, out: Any = None) -> Tensor:
    """-x log(x), 0 at 0, minus infinity below."""
    x = as_float(input)
    return checked_out(where(new(x._data < 0), -math.inf, neg(xlogy(x, x))), out)


def xlog1py(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """input * log(1 + other), 0 where input is 0."""
    x, y = tensor_from(input), as_float(other)
    has_no_log = (x._data == 0) & ((y._data <= -1) | (y._data == np.inf))  # elsewhere there is a gradient by x
    return checked_out(mul(x, log1p(where(new(has_no_log), 0.0, y))), out)


_SCIPY = "use scipy.special on x.numpy()"
_NAMES = (
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "erfcx", "gammainc", "gammaincc", "i0", "i0e", "i1",
    "i1e", "log_ndtr", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "polygamma", "spherical_bessel_j0", "zeta",
)  # fmt: skip
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _SCIPY))
