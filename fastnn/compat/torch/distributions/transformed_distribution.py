"""torch.distributions.transformed_distribution"""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._size import Size
from fastnn.compat.torch.autograd.grad_mode import no_grad
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.independent import sum_rightmost
from fastnn.compat.torch.distributions.transforms import Transform

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """What becomes of another distribution's values by transforms, one after the other.

    squashed = TransformedDistribution(Normal(mean, std), [TanhTransform(cache_size=1)])
    """

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(transform, Transform) for transform in self.transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.base_dist = base_distribution
        shape = tuple(base_distribution.batch_shape + base_distribution.event_shape)
        for transform in self.transforms:
            shape = tuple(transform.forward_shape(shape))
        if Size(shape) != base_distribution.batch_shape + base_distribution.event_shape:
            n = len(shape) - len(base_distribution.event_shape)
            self.base_dist = base_distribution.expand(shape[:n])
        n_event = max([len(base_distribution.event_shape), *[t.event_dim for t in self.transforms]])
        self._more = n_event - len(base_distribution.event_shape)
        super().__init__(shape[: len(shape) - n_event], shape[len(shape) - n_event :], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        base = self.base_dist.expand(Size(batch_shape) + self._event_shape[: self._more])
        return TransformedDistribution(base, self.transforms, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._through(self.base_dist.rsample(sample_shape))

    def _through(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        n = len(self._event_shape)
        total: Any = 0
        y = value
        for transform in reversed(self.transforms):
            x = transform._inv_call(y)
            total = total - sum_rightmost(transform.log_abs_det_jacobian(x, y), n - transform.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), n - len(self.base_dist.event_shape))

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform._inv_call(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._through(self.base_dist.icdf(self._turned(value)))

    def _turned(self, value: Any) -> Any:
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.transforms})"


__getattr__ = missing(__name__)
