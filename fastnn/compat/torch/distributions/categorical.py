"""torch.distributions.categorical"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._indexing import gather
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._of_nn import log_softmax
from fastnn.compat.torch._pointwise import clamp_min
from fastnn.compat.torch._random import source
from fastnn.compat.torch._shapes import broadcast_tensors
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """A number from 0 to K - 1, by K probabilities, or logarithms up to a summand, along the last axis.

    Example:
        >>> import fastnn.compat.torch as torch
        >>> torch.distributions.Categorical(torch.tensor([1.0, 1.0, 2.0])).probs
        tensor([0.2500, 0.2500, 0.5000])
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = logits if probs is None else probs
        if given._data.ndim < 1:
            raise ValueError(f"`{'logits' if probs is None else 'probs'}` parameter must be at least one-dimensional.")
        if probs is None:
            self.logits = log_softmax(logits, -1)
        else:
            self.probs = probs / probs.sum(-1, keepdim=True)
        self._num_events = given._data.shape[-1]
        super().__init__(given._data.shape[:-1], validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:
        # The one of the two that was not given; it then stays.
        if name == "probs" and "logits" in self.__dict__:
            self.probs = logits_to_probs(self.logits)
            return self.probs
        if name == "logits" and "probs" in self.__dict__:
            self.logits = probs_to_logits(self.probs)
            return self.logits
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")

    @property
    def support(self) -> constraints.Constraint:
        last = self._num_events - 1
        text = f"IntegerInterval(lower_bound=0, upper_bound={last})"
        return constraints.Constraint(text, lambda x: (x % 1 == 0) & (x >= 0) & (x <= last), is_discrete=True)

    @property
    def param_shape(self) -> Size:
        return self._batch_shape + Size((self._num_events,))

    @property
    def mean(self) -> Any:
        return new(np.full(self._batch_shape, np.nan, self.probs._data.dtype))

    variance = mean

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = Size(batch_shape) + Size((self._num_events,))
        name = "probs" if "probs" in self.__dict__ else "logits"
        return type(self)(**{name: getattr(self, name).expand(shape)}, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = source(None).random((*sample_shape, *self._batch_shape, 1))
        steps = np.cumsum(self.probs._data, -1, dtype=np.float64)
        places = np.sum(drawn * steps[..., -1:] >= steps, axis=-1)  # the last step is never reached
        return new(np.asarray(places, np.int64))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        places, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return gather(logits, -1, places[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        logits = clamp_min(self.logits, float(np.finfo(self.logits._data.dtype).min))
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = np.arange(self._num_events).reshape(-1, *[1] * len(self._batch_shape))
        return new(np.broadcast_to(values, (self._num_events, *self._batch_shape)).copy() if expand else values)


__getattr__ = missing(__name__)
