"""What puts elements around."""

from typing import Any, ClassVar

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module
from fastnn.compat.torch.nn.modules.utils import _ntuple

__all__ = [
    "CircularPad1d", "CircularPad2d", "ConstantPad1d", "ConstantPad2d", "ReflectionPad1d", "ReflectionPad2d",
    "ReplicationPad1d", "ReplicationPad2d", "ZeroPad1d", "ZeroPad2d",
]  # fmt: skip

__getattr__ = missing(__name__, ABSENT)


class _Pad(Module):
    _axes: ClassVar[int]
    _mode: ClassVar[str] = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._axes)(padding)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """One value at the ends of sequences"""

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """One value around images"""

    _axes = 2


class ZeroPad1d(ConstantPad1d):
    """Zeros at the ends of sequences"""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    extra_repr = _Pad.extra_repr


class ZeroPad2d(ConstantPad2d):
    """Zeros around images"""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    extra_repr = _Pad.extra_repr


class ReflectionPad1d(_Pad):
    """The sequence mirrored at its ends"""

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The image mirrored at its borders"""

    _axes, _mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """The outermost elements again"""

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The outermost pixels again"""

    _axes, _mode = 2, "replicate"


class CircularPad1d(_Pad):
    """The sequence again from its other end"""

    _axes, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """The image again from its other side"""

    _axes, _mode = 2, "circular"
