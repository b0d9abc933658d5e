"""`out=`, of functions that PyTorch gives one, and of which the methods have none."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastnn.compat.torch._tensor import checked_out

__all__ = ["WRITE", "with_out"]

# Functions of torch that PyTorch gives an `out`, beside those that take it by themselves.
WRITE = (
    "addcdiv", "addcmul", "addmm", "addmv", "addr", "amax", "amin", "aminmax", "argmax", "argmin", "argsort", "baddbmm",
    "bucketize", "cholesky", "clamp_max", "clamp_min", "column_stack", "cross", "cummax", "cummin", "diff", "dstack",
    "ger", "hardshrink", "histc", "hstack", "index_add", "index_copy", "index_select", "inner", "inverse", "isin",
    "isneginf", "isposinf", "kron", "kthvalue", "lerp", "log_softmax", "logit", "logsumexp", "masked_select",
    "matrix_power", "max", "median", "min", "mode", "msort", "multinomial", "mvlgamma", "nan_to_num", "nanmean",
    "nansum", "narrow_copy", "nonzero", "outer", "prod", "qr", "quantile", "renorm", "row_stack", "scatter",
    "scatter_add", "scatter_reduce", "searchsorted", "signbit", "slice_scatter", "slogdet", "softmax", "sort", "std",
    "svd", "take", "take_along_dim", "threshold", "topk", "var", "vdot", "vstack", "where", "xlogy",
)  # fmt: skip


def with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with `out`: a tensor, or a tuple or list of tensors for several results."""

    @functools.wraps(function)
    def call(*arguments: Any, out: Any = None, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        if out is None:
            return result
        if not isinstance(result, tuple):
            return checked_out(result, out)
        results = [checked_out(part, into) for part, into in zip(result, out, strict=True)]
        return result._make(results) if hasattr(result, "_make") else tuple(results)

    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    end = len(parameters) - sum(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    parameters.insert(end, inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Any))
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call
