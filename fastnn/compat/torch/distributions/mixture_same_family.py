"""torch.distributions.mixture_same_family"""

from typing import Any

from fastnn.compat.torch._indexing import gather
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._of_nn import log_softmax
from fastnn.compat.torch._reductions import logsumexp
from fastnn.compat.torch._size import Size
from fastnn.compat.torch.autograd.grad_mode import no_grad
from fastnn.compat.torch.distributions.categorical import Categorical
from fastnn.compat.torch.distributions.distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """One of K distributions, chosen by a `Categorical`: those along the last batch axis of another one."""

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        shape = component_distribution.batch_shape
        n = mixture_distribution.param_shape[-1]
        if not shape or shape[-1] != n:
            raise ValueError(f"`mixture_distribution component` ({n}) does not equal the last of {shape}")
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        super().__init__(shape[:-1], component_distribution.event_shape, validate_args)

    def _weights(self) -> Any:
        probs = self.mixture_distribution.probs
        return probs.reshape(probs.shape + Size([1] * len(self._event_shape)))

    @property
    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Any:
        return (self._weights() * self.component_distribution.mean).sum(self._axis)

    @property
    def variance(self) -> Any:
        weights, parts = self._weights(), self.component_distribution
        within = (weights * parts.variance).sum(self._axis)
        return within + (weights * (parts.mean - self.mean.unsqueeze(self._axis)) ** 2).sum(self._axis)

    def cdf(self, value: Any) -> Any:
        return (self.component_distribution.cdf(value.unsqueeze(-1)) * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        each = self.component_distribution.log_prob(value.unsqueeze(self._axis))
        return logsumexp(each + log_softmax(self.mixture_distribution.logits, -1), -1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            samples = self.component_distribution.sample(sample_shape)
            places = self.mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            ones = Size([1] * (len(self._event_shape) + 1))
            shape = Size(sample_shape) + self._batch_shape + Size([1]) + self._event_shape
            chosen = places.reshape(places.shape + ones).expand(shape)
            return gather(samples, len(shape) + self._axis, chosen).squeeze(self._axis)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"


__getattr__ = missing(__name__)
