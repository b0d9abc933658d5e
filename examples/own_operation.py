"""An operation of one's own: Mish, a smooth activation, with its gradient, a check of it, and a network that uses it.

mish(x) = x * tanh(softplus(x)), softplus(x) = log(1 + e^x). Source: Misra, 2019, "Mish: a self regularized
non-monotonic activation function".
"""

import numpy as np

import fastnn
from fastnn import nn, optim

STEPS = 400


class Mish(fastnn.Op):
    def forward(self, x):
        self.x, self.t = x, np.tanh(np.logaddexp(0, x))  # what backward needs: an instance is one call
        return x * self.t

    def backward(self, dy):
        sigmoid = (1 + np.tanh(self.x / 2)) / 2  # the derivative of softplus
        return dy * (self.t + self.x * (1 - self.t**2) * sigmoid)


def check_gradient(step=1e-5):
    """The largest difference between the gradient and central differences."""
    x = np.linspace(-6, 6, 101)
    tensor = fastnn.tensor(x, requires_grad=True)
    Mish()(tensor).sum().backward()
    differences = (Mish()(x + step) - Mish()(x - step)) / (2 * step)
    return abs(tensor.grad - differences).max()


def spirals(n, rng):
    """Points of two spirals, and on which of them each one lies."""
    labels, turn = rng.integers(0, 2, n), 3 * np.sqrt(rng.uniform(0.05, 1, n))
    angle = np.pi * (turn + labels)
    points = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.05, (n, 2))
    return points.astype(np.float32), labels


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.third(Mish()(self.second(Mish()(self.first(x)))))


def main(steps=STEPS):
    fastnn.manual_seed(0)
    error = check_gradient()
    print(f"the gradient of Mish differs from differences by {error:.1e}")
    rng, model, criterion = np.random.default_rng(0), Network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        points, labels = spirals(256, rng)
        loss = criterion(model(fastnn.Tensor(points)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    points, labels = spirals(2000, rng)
    accuracy = (model(points).argmax(axis=1) == labels).mean()
    print(f"two spirals: loss {loss.item():.3f}, {accuracy:.1%} of new points are right")
    return error, accuracy


if __name__ == "__main__":
    main()
