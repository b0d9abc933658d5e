"""Write an operation, mish(x) = x * tanh(log(1 + e^x)) (Misra, 2019), check its gradient, and use it in a network."""

import numpy as np

import fastnn
from fastnn import functional as F
from fastnn import nn, optim


class Mish(fastnn.Op):
    def forward(self, x):
        self.x, self.t = x, np.tanh(np.logaddexp(0, x))  # what backward needs: an instance is one call
        return x * self.t

    def backward(self, dy):
        sigmoid = (1 + np.tanh(self.x / 2)) / 2  # the derivative of log(1 + e^x)
        return dy * (self.t + self.x * (1 - self.t**2) * sigmoid)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.c(Mish()(self.b(Mish()(self.a(x)))))


def spirals(n, rng):
    """Random points on two spirals, and the number of the spiral for each point."""
    labels, turn = rng.integers(0, 2, n), rng.uniform(0.5, 3, n)
    angle = np.pi * (turn + labels)
    return (turn * np.stack([np.cos(angle), np.sin(angle)])).T.astype(np.float32), labels


def main(steps=400, step=1e-5):
    fastnn.manual_seed(0)
    x = fastnn.tensor(np.linspace(-6, 6, 101), requires_grad=True)
    Mish()(x).sum().backward()
    error = abs(x.grad - (Mish()(x.data + step) - Mish()(x.data - step)) / (2 * step)).max()
    print(f"the gradient of Mish differs from differences by {error:.1e}")
    rng, model = np.random.default_rng(0), Network()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        points, labels = spirals(256, rng)
        loss = F.cross_entropy(model(fastnn.Tensor(points)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    points, labels = spirals(2000, rng)
    accuracy = (model(points).argmax(axis=1) == labels).mean()
    print(f"two spirals: loss {loss.item():.3f}, {accuracy:.1%} of new points are right")
    return error, accuracy


if __name__ == "__main__":
    main()
