"""torch.sparse: tensors that are mostly zeros, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "tensors are dense here: use torch.mm and its kin"
_NAMES = (
    "addmm",
    "mm",
    "sum",
    "softmax",
    "log_softmax",
    "spdiags",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
