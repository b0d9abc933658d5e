"""Batch normalisation."""

from typing import Any

import numpy as np

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.lazy import LazyModuleMixin
from fastnn.compat.torch.nn.modules.module import Module, made
from fastnn.compat.torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

__all__ = ["BatchNorm1d", "BatchNorm2d", "LazyBatchNorm1d", "LazyBatchNorm2d"]

__getattr__ = missing(__name__, ABSENT)


class _NormBase(Module):
    """Normalisations with running statistics; those are written into the same memory, as in PyTorch."""

    _version = 2

    def reset_running_stats(self) -> None:
        buffers: Any = self._buffers
        if self.track_running_stats:
            buffers["running_mean"][...], buffers["running_var"][...] = 0, 1
            buffers["num_batches_tracked"][...] = 0

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        for name, value in (("weight", 1), ("bias", 0)):
            parameter = self._parameters[name]
            if parameter is not None:
                parameter._data[...] = value

    def _keep_memory(self, before: dict[str, Any]) -> None:
        buffers = self._buffers
        for name, memory in before.items():
            now = buffers[name]
            if now is not memory and memory is not None:
                memory[...] = now
                buffers[name] = memory

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, *others: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *others)
        key = f"{prefix}num_batches_tracked"
        if key in missing_keys and (local_metadata.get("version") or 1) < 2:  # files of PyTorch before 0.4.1
            missing_keys.remove(key)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self._parameters['bias'] is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """Of all batch normalisations."""


def _class(base: Any, text: str) -> Any:
    class _Layer(base, _BatchNorm):
        __doc__ = text

        def __init__(
            self,
            num_features: int,
            eps: float = 1e-5,
            momentum: float | None = 0.1,
            affine: bool = True,
            track_running_stats: bool = True,
            device: Any = None,
            dtype: Any = None,
            *,
            bias: bool = True,
        ) -> None:
            super().__init__(num_features, eps, momentum, affine, track_running_stats)
            if not bias:
                self._parameters["bias"] = None
            made(self, device, dtype)

        def normalize(self, x: Any, activation: str | None = None, residual: Any = None) -> Any:
            before = dict(self._buffers) if self.training else None
            if x._data.dtype == np.float16:
                x = x.float()
            y = super().normalize(x, activation, residual)
            if before is not None:
                self._keep_memory(before)
            return y

        extra_repr = _NormBase.extra_repr
        reset_running_stats = _NormBase.reset_running_stats

    _Layer.__name__ = _Layer.__qualname__ = base.__name__
    return _Layer


BatchNorm1d = _class(array.BatchNorm1d, "Normalise every feature over the batch, and over the positions of a sequence")
BatchNorm2d = _class(array.BatchNorm2d, "Normalise every channel over the batch and all pixels")


# ---- with the channels of the first input ----------------------------------------------------------------------------
class _LazyNormBase(LazyModuleMixin):
    """What all normalisations that wait for their first input have in common."""

    num_features: int

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(1, eps, momentum, False, False)
        self.num_features, self.affine, self.track_running_stats = 0, bool(affine), bool(track_running_stats)
        for name in ["weight", "bias"][: (2 if bias else 1) if affine else 0]:
            setattr(self, name, UninitializedParameter(device=device, dtype=dtype))
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = np.zeros((), np.int64)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Any) -> None:
        entries = dict(self._own_entries())
        known = [entry for name, entry in entries.items() if entry is not None and name != "num_batches_tracked"]
        if known and not self.has_uninitialized_params():  # they were loaded
            self.num_features = known[0].shape[0]
            return
        self.num_features = input.shape[1]
        for name, entry in entries.items():
            if is_lazy(entry):
                self._materialize(name, (self.num_features,))
        self.reset_parameters()


def lazy_class(base: Any, kind: Any) -> Any:
    """The class that becomes `kind` with its first input; `base` does the same as `kind`, and is not the same class."""

    class _Lazy(_LazyNormBase, base):
        __doc__ = f"A `{kind.__name__}` that takes num_features from its first input."
        cls_to_become = kind

    _Lazy.__name__ = _Lazy.__qualname__ = f"Lazy{kind.__name__}"
    return _Lazy


LazyBatchNorm1d = lazy_class(_class(array.BatchNorm1d, ""), BatchNorm1d)
LazyBatchNorm2d = lazy_class(_class(array.BatchNorm2d, ""), BatchNorm2d)
