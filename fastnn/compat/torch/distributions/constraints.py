"""torch.distributions.constraints: what parameters and values must be, as far as distributions here ask for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import wrapped

__all__ = [
    "Constraint",
    "boolean",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


class Constraint:
    """A condition on tensors: `constraint.check(value)` says where it holds.

    Attributes:
        event_dim: how many of the last axes are looked at together.
        is_discrete: whether it holds of single numbers only.
    """

    def __init__(
        self, text: str, holds: Callable[[NDArray], Any], *, event_dim: int = 0, is_discrete: bool = False
    ) -> None:
        self._text, self._holds = text, holds
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def check(self, value: Any) -> Any:
        """Where it holds."""
        return wrapped(np.asarray(self._holds(value._data)))

    def __repr__(self) -> str:
        return self._text


def _sums_to_one(x: NDArray) -> Any:
    return (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6)


def _has_one_one(x: NDArray) -> Any:
    return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


def _is_positive_definite(x: NDArray) -> Any:
    is_symmetric = np.isclose(x, np.swapaxes(x, -2, -1), atol=1e-6).all((-2, -1))
    return is_symmetric & (np.linalg.eigvalsh(x) > 0).all(-1)


real = Constraint("Real()", lambda x: x == x)  # all but NaN
real_vector = Constraint("IndependentConstraint(Real(), 1)", lambda x: (x == x).all(-1), event_dim=1)
positive = Constraint("GreaterThan(lower_bound=0.0)", lambda x: x > 0)
nonnegative = Constraint("GreaterThanEq(lower_bound=0.0)", lambda x: x >= 0)
unit_interval = Constraint("Interval(lower_bound=0.0, upper_bound=1.0)", lambda x: (x >= 0) & (x <= 1))
boolean = Constraint("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = Constraint(
    "IntegerGreaterThan(lower_bound=0)", lambda x: (x % 1 == 0) & (x >= 0), is_discrete=True
)
simplex = Constraint("Simplex()", _sums_to_one, event_dim=1)
one_hot = Constraint("OneHot()", _has_one_one, event_dim=1, is_discrete=True)
positive_definite = Constraint("PositiveDefinite()", _is_positive_definite, event_dim=2)

__getattr__ = missing(__name__)
