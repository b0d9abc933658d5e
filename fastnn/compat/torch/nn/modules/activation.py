"""Activations as modules."""

from typing import Any

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import activate_in_place, in_place
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from fastnn.compat.torch.nn.modules.module import Module, made
from fastnn.nn._joining import is_itself

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "MultiheadAttention", "PReLU", "RReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid",
    "Softmax", "Softmax2d", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip

__getattr__ = missing(__name__, ABSENT)


class InPlace(Module):
    """What may write its result into its input."""

    inplace: bool = False

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self.inplace
            and len(args) == 1
            and not kwargs
            and is_itself(self, array.ReLU, array.ReLU6, array.SiLU)
            and activate_in_place(args[0], self._function)
        ):
            return args[0]
        y = super().__call__(*args, **kwargs)
        return in_place(args[0], y) if self.inplace and args and y is not args[0] else y

    def _with_inplace(self, words: str = "") -> str:
        return ", ".join(word for word in (words, "inplace=True" if self.inplace else "") if word)


class ReLU(array.ReLU, InPlace):
    """max(x, 0)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return self._with_inplace()


class ReLU6(array.ReLU6, InPlace):
    """min(max(x, 0), 6)"""

    min_val, max_val = 0.0, 6.0

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return self._with_inplace()


class LeakyReLU(array.LeakyReLU, InPlace):
    """x where x > 0, else negative_slope * x"""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(negative_slope)
        self.negative_slope, self.inplace = negative_slope, inplace

    def extra_repr(self) -> str:
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class RReLU(InPlace):
    """x where x >= 0, else a slope times x: drawn in training, their mean else"""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return self._with_inplace(f"lower={self.lower}, upper={self.upper}")


class ELU(array.ELU, InPlace):
    """x where x > 0, else alpha * (e^x - 1)"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha)
        self.alpha, self.inplace = alpha, inplace

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class CELU(InPlace):
    """x where x > 0, else alpha * (e^(x / alpha) - 1)"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Any) -> Any:
        return F.celu(input, self.alpha)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class SELU(InPlace):
    """elu with an alpha and a scale that keep mean and variance"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return F.selu(input)

    def extra_repr(self) -> str:
        return self._with_inplace()


class GELU(array.GELU, Module):
    """x times the probability that a standard normal number is smaller"""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate)


class SiLU(array.SiLU, InPlace):
    """x * sigmoid(x)"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return self._with_inplace()


class Mish(array.Mish, InPlace):
    """x * tanh(softplus(x))"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return self._with_inplace()


class Hardswish(array.Hardswish, InPlace):
    """x * relu6(x + 3) / 6"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class Hardsigmoid(array.Hardsigmoid, InPlace):
    """relu6(x + 3) / 6"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class Hardtanh(array.Hardtanh, InPlace):
    """x within [min_val, max_val]"""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        min_val, max_val = min_val if min_value is None else min_value, max_val if max_value is None else max_value
        super().__init__(min_val, max_val)
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def extra_repr(self) -> str:
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class Threshold(InPlace):
    """x where x > threshold, else value"""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Any) -> Any:
        return F.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return self._with_inplace(f"threshold={self.threshold}, value={self.value}")


class PReLU(array.PReLU, Module):
    """x where x > 0, else weight * x"""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__(num_parameters, init)
        self.init = init
        made(self, device, dtype)

    def reset_parameters(self) -> None:
        self.weight._data[...] = self.init


class Sigmoid(array.Sigmoid, Module):
    """1 / (1 + e^-x)"""


class Tanh(array.Tanh, Module):
    """The hyperbolic tangent"""


class Softplus(array.Softplus, Module):
    """log(1 + e^(beta x)) / beta"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta, threshold)
        self.beta, self.threshold = beta, threshold

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(array.Softmax, Module):
    """e^x, divided by its sum along `dim`"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        return F.softmax(input, self.dim)


class LogSoftmax(array.LogSoftmax, Module):
    """The logarithm of softmax"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        return F.log_softmax(input, self.dim)


class Softmin(Module):
    """softmax of -x"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """softmax over the channels of each pixel"""

    def forward(self, input: Any) -> Any:
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)


class LogSigmoid(Module):
    """log(1 / (1 + e^-x))"""

    def forward(self, input: Any) -> Any:
        return F.logsigmoid(input)


class Tanhshrink(Module):
    """x - tanh(x)"""

    def forward(self, input: Any) -> Any:
        return F.tanhshrink(input)


class Softsign(Module):
    """x / (1 + |x|)"""

    def forward(self, input: Any) -> Any:
        return F.softsign(input)


class Softshrink(Module):
    """x moved towards 0 by lambd"""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Module):
    """x where |x| > lambd, else 0"""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class GLU(Module):
    """The first half along `dim`, times the sigmoid of the second"""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class MultiheadAttention(array.MultiheadAttention, Module):
    """Attention with several heads: see `fastnn.nn.MultiheadAttention`"""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first)
        self.head_dim = self.embed_dim // self.num_heads
        self._qkv_same_embed_dim = self.kdim == self.vdim == self.embed_dim
        self.bias_k = self.bias_v = None
        self.add_zero_attn = False
        object.__setattr__(self.out_proj, "__class__", NonDynamicallyQuantizableLinear)
        made(self, device, dtype)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        """(result, weights); `is_causal` is but a hint of what `attn_mask` is"""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        return super().forward(query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights)

    def extra_repr(self) -> str:
        return ""
