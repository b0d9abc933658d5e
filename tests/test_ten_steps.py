"""Ten steps of a training end, by every instruction set, where the NumPy reference does."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

# How much further from the exact result one order of the same roundings may end than another one.
ORDER_OF_SUMS = 8


def trained(dtype, backend, steps=10):
    """All parameters and statistics after ten steps from the same start, in one vector of float64."""
    rng = np.random.default_rng(3)
    fastnn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(108, 10),
    )
    model.astype(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    loss = nn.CrossEntropyLoss()
    with fastnn.backend(backend):
        for _ in range(steps):
            x = rng.standard_normal((8, 3, 14, 14)).astype(dtype)
            y = rng.integers(0, 10, 8)
            optimizer.zero_grad()
            loss(model(x), y)
            model.backward(loss.backward())
            optimizer.step()
    return np.concatenate([value.ravel().astype(np.float64) for value in model.state_dict().values()])


EXACT = trained(np.float64, "reference")
ERROR_OF_FLOAT32 = np.abs(trained(np.float32, "reference") - EXACT).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ten_steps_of_a_training_end_where_the_reference_does(isa, threads, dtype):
    """The effect of small rounding errors is proportional to them; the reference in float32 shows the factor."""
    assert np.abs(EXACT).max() > 1e4 * ERROR_OF_FLOAT32, "errors of float32 are not small"
    bound = ORDER_OF_SUMS * ERROR_OF_FLOAT32 * np.finfo(dtype).eps / np.finfo(np.float32).eps
    error = np.abs(trained(dtype, "native") - EXACT).max()
    assert 0 < error <= bound
