"""torch.nested: tensors of rows of different lengths, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "pad the rows: torch.nn.utils.rnn.pad_sequence"
_NAMES = (
    "nested_tensor",
    "as_nested_tensor",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
