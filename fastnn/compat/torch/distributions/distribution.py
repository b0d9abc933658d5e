"""torch.distributions.distribution: what distributions have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import exp
from fastnn.compat.torch._random import source
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.autograd.grad_mode import no_grad
from fastnn.compat.torch.distributions.constraints import Constraint

__all__ = ["Distribution"]


class Distribution:
    """Random tensors of shape sample_shape + batch_shape + event_shape.

    Attributes:
        batch_shape: of the distributions that it consists of, one for each parameter.
        event_shape: of one value of one of them.
        has_rsample: whether gradients go from samples to parameters.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[Mapping[str, Constraint]] = {}
    support: Any = None
    _validate_args: ClassVar[bool] = True

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: True or False is needed. Received: {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args  # type: ignore[misc]
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                value = self.__dict__.get(name)
                if isinstance(value, NumPyTensor) and not constraint.check(value)._data.all():
                    raise ValueError(
                        f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value._data.shape)}) of "
                        f"distribution {self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n"
                        f"{value!r}"
                    )

    @property
    def batch_shape(self) -> Size:
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        return self._event_shape

    # ---- numbers -----------------------------------------------------------------------------------------------------
    @property
    def mean(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no mean here")

    @property
    def mode(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no mode here")

    @property
    def variance(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no variance here")

    @property
    def stddev(self) -> Any:
        return self.variance.sqrt()

    def entropy(self) -> Any:
        """The entropies, of shape batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy here")

    def perplexity(self) -> Any:
        """e^entropy"""
        return exp(self.entropy())

    # ---- samples -----------------------------------------------------------------------------------------------------
    def sample(self, sample_shape: Any = ()) -> Any:
        """Values without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Values whose gradients go to the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample: gradients do not go through its samples")

    def sample_n(self, n: int) -> Any:
        """n values."""
        return self.sample(Size((n,)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability, or density, of a value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob here")

    def cdf(self, value: Any) -> Any:
        """The probability of values up to this one."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf here")

    def icdf(self, value: Any) -> Any:
        """What values are up to with this probability."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf here")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values that there are."""
        raise NotImplementedError(f"{type(self).__name__} has no enumerate_support: its values cannot be counted")

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distributions, repeated to a larger batch_shape."""
        n = len(self._batch_shape)

        def expanded(value: Any) -> Any:
            is_tensor = isinstance(value, NumPyTensor)
            return value.expand(Size(batch_shape) + value.shape[n:]) if is_tensor else value

        parts = {name: expanded(self.__dict__[name]) for name in self.arg_constraints if name in self.__dict__}
        return type(self)(**parts, validate_args=False)

    # ---- for subclasses ----------------------------------------------------------------------------------------------
    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _uniform(self, shape: Any, dtype: np.dtype) -> Tensor:
        """Even numbers in (0, 1)."""
        drawn = source(None).random(tuple(shape))
        return new(np.clip(np.asarray(drawn, dtype), np.finfo(dtype).tiny, 1 - np.finfo(dtype).epsneg))

    def _check_value(self, value: Any) -> None:
        """Refuse a value that has another shape, or that never comes up."""
        if not self._validate_args:
            return
        if not isinstance(value, NumPyTensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = tuple(value._data.shape)
        n = len(self._event_shape)
        if n and shape[len(shape) - n :] != tuple(self._event_shape):
            raise ValueError(
                f"The right-most size of value must match event_shape: {Size(shape)} vs {self._event_shape}."
            )
        for size, own in zip(reversed(shape), reversed(self._batch_shape + self._event_shape), strict=False):
            if size != own and 1 not in (size, own):
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {Size(shape)} vs "
                    f"{self._batch_shape + self._event_shape}."
                )
        support = self.support
        if support is not None and not support.check(value)._data.all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {shape}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value!r}"
            )

    def __repr__(self) -> str:
        texts = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if isinstance(value, NumPyTensor):
                texts.append(f"{name}: {value.item() if value._data.size == 1 else Size(value._data.shape)}")
        return f"{type(self).__name__}({', '.join(texts)})"


__getattr__ = missing(__name__)
