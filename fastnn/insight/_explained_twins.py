"""What is written about an operation: the formula, the twin in NumPy, the paper. Everything stands in one place only.

formula     docstrings of `fastnn.functional`
twin        the source of `fastnn.reference`
paper       the line "Source:" of a docstring
"""

import inspect
import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from fastnn import functional, nn, reference

__all__ = ["FUNCTIONS", "helpers_of", "intro", "papers", "source_of", "twins_of"]

# Layer -> what it runs; several where a layer is made of others.
FUNCTIONS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.AdaptiveAvgPool2d: ("adaptive_avg_pool2d",),
    nn.AdaptiveMaxPool2d: ("adaptive_max_pool2d",),
    nn.AvgPool2d: ("avg_pool2d",),
    nn.BCELoss: ("binary_cross_entropy",),
    nn.BCEWithLogitsLoss: ("binary_cross_entropy_with_logits",),
    nn.BatchNorm1d: ("batch_norm",),
    nn.BatchNorm2d: ("batch_norm",),
    nn.Conv2d: ("conv2d",),
    nn.ConvTranspose2d: ("conv_transpose2d",),
    nn.CrossEntropyLoss: ("cross_entropy",),
    nn.Dropout: ("dropout",),
    nn.Dropout2d: ("dropout2d",),
    nn.ELU: ("elu",),
    nn.Embedding: ("embedding",),
    nn.Flatten: (),
    nn.FocalLoss: ("focal_loss",),
    nn.GELU: ("gelu",),
    nn.GRU: ("gru", "dropout"),
    nn.GRUCell: ("gru",),
    nn.GroupNorm: ("group_norm",),
    nn.Hardsigmoid: ("hardsigmoid",),
    nn.Hardswish: ("hardswish",),
    nn.Hardtanh: ("hardtanh",),
    nn.HuberLoss: ("huber_loss",),
    nn.Identity: (),
    nn.InstanceNorm1d: ("instance_norm",),
    nn.InstanceNorm2d: ("instance_norm",),
    nn.L1Loss: ("l1_loss",),
    nn.LSTM: ("lstm", "dropout"),
    nn.LSTMCell: ("lstm",),
    nn.LayerNorm: ("layer_norm",),
    nn.LeakyReLU: ("leaky_relu",),
    nn.Linear: ("linear",),
    nn.LocalResponseNorm: ("local_response_norm",),
    nn.LogSoftmax: ("log_softmax",),
    nn.MSELoss: ("mse_loss",),
    nn.MaxPool2d: ("max_pool2d",),
    nn.Mish: ("mish",),
    nn.MultiMarginLoss: ("multi_margin_loss",),
    nn.MultiheadAttention: ("linear", "scaled_dot_product_attention", "dropout"),
    nn.NLLLoss: ("nll_loss",),
    nn.PReLU: ("prelu",),
    nn.PixelShuffle: ("pixel_shuffle",),
    nn.PixelUnshuffle: ("pixel_unshuffle",),
    nn.RMSNorm: ("rms_norm",),
    nn.RNN: ("rnn", "dropout"),
    nn.RNNCell: ("rnn",),
    nn.ReLU: ("relu",),
    nn.ReLU6: ("relu6",),
    nn.ReflectionPad2d: ("pad",),
    nn.ReplicationPad2d: ("pad",),
    nn.Residual: ("add",),
    nn.Sequential: (),
    nn.SiLU: ("silu",),
    nn.Sigmoid: ("sigmoid",),
    nn.SmoothL1Loss: ("smooth_l1_loss",),
    nn.Softmax: ("softmax",),
    nn.Softplus: ("softplus",),
    nn.Tanh: ("tanh",),
    nn.Upsample: ("interpolate",),
    nn.ZeroPad2d: ("pad",),
}

_SECTION = re.compile(r"^(Args|Arguments|Shape|Returns|Raises|Attributes|Example|Source|Note)s?:")


def intro(documented: Any) -> str:
    """What a docstring says before its first section: the formula."""
    lines: list[str] = []
    for line in (inspect.getdoc(documented) or "").splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def papers(documented: Any) -> str:
    """What a docstring gives as its source, in one line; '' if it gives none."""
    found = re.search(r"^Source: (.*?)(?:\n\n|\Z)", inspect.getdoc(documented) or "", re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def twins_of(name: str) -> tuple[list[FunctionType], list[FunctionType]]:
    """Functions of `fastnn.reference` that define `functional.<name>`, and those that define its gradient."""
    forward = getattr(reference, name, None)
    if forward is None:
        return [], []
    # Those of the same file that only the twin has: `batch_norm_statistics`, `gelu_tanh`.
    more = [
        function
        for key, function in vars(reference).items()
        if key.startswith(f"{name}_")
        and key != f"{name}_backward"
        and not hasattr(functional, key)
        and getattr(function, "__module__", "") == forward.__module__
    ]
    backward = [function for function in more if function.__name__.endswith("_backward")]
    first = [function for function in more if function not in backward]
    own = getattr(reference, f"{name}_backward", None)
    return [*first, forward], [*([] if own is None else [own]), *backward]


def helpers_of(functions: list[FunctionType]) -> list[FunctionType]:
    """Functions of the same files that these call, and those that those call; each before its callers."""
    found: list[FunctionType] = []

    def look(function: FunctionType) -> None:
        for helper in _called(function):
            if helper not in found and helper not in functions:
                look(helper)
                found.append(helper)

    for function in functions:
        look(function)
    return found


def _called(function: FunctionType) -> Iterator[FunctionType]:
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__ == function.__module__ and value is not function:
                yield value


def source_of(functions: list[FunctionType]) -> str:
    """Their source, as it stands."""
    return "\n\n\n".join(inspect.getsource(function).rstrip() for function in functions)
