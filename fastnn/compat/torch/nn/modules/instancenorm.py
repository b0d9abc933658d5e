"""Instance normalisation."""

from typing import Any

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.batchnorm import _NormBase, lazy_class
from fastnn.compat.torch.nn.modules.module import made

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "LazyInstanceNorm1d", "LazyInstanceNorm2d"]

__getattr__ = missing(__name__, ABSENT)


class _InstanceNorm(_NormBase):
    """Of all instance normalisations."""


def _class(base: Any, ndim: int, text: str) -> Any:
    class _Layer(base, _InstanceNorm):
        __doc__ = text

        def __init__(
            self,
            num_features: int,
            eps: float = 1e-5,
            momentum: float = 0.1,
            affine: bool = False,
            track_running_stats: bool = False,
            device: Any = None,
            dtype: Any = None,
            *,
            bias: bool = True,
        ) -> None:
            super().__init__(num_features, eps, momentum, affine, track_running_stats)
            if not bias:
                self._parameters["bias"] = None
            made(self, device, dtype)

        def forward(self, input: Any) -> Any:
            shape = input._data.shape
            if len(shape) == ndim - 1:
                y = self.forward(input.reshape(1, *shape))
                return y.reshape(*shape)
            if len(shape) != ndim:
                raise ValueError(f"expected {ndim - 1}D or {ndim}D input (got {len(shape)}D input)")
            uses_own = self.training or not self.track_running_stats
            running = (self.running_mean, self.running_var) if self.track_running_stats else (None, None)
            own = self._parameters
            settings = own["weight"], own["bias"], uses_own, self.momentum, self.eps
            return F.instance_norm(input, running[0], running[1], *settings)

        extra_repr = _NormBase.extra_repr
        reset_running_stats = _NormBase.reset_running_stats

    _Layer.__name__ = _Layer.__qualname__ = base.__name__
    return _Layer


InstanceNorm1d = _class(array.InstanceNorm1d, 3, "Normalise every channel of every sequence for itself")
InstanceNorm2d = _class(array.InstanceNorm2d, 4, "Normalise every channel of every image for itself")
LazyInstanceNorm1d = lazy_class(_class(array.InstanceNorm1d, 3, ""), InstanceNorm1d)
LazyInstanceNorm2d = lazy_class(_class(array.InstanceNorm2d, 4, ""), InstanceNorm2d)
