"""A recurrent network with a hand-written cell. At every step it must name the symbol that it saw DELAY steps before.

h[t] = tanh(x[t] W + h[t - 1] U + b). Source: Elman, 1990, "Finding structure in time".
"""

import numpy as np

import fastnn
from fastnn import nn, optim

SYMBOLS, DELAY, LENGTH, HIDDEN, BATCH = 4, 3, 12, 48, 32


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.from_input = nn.Linear(SYMBOLS, HIDDEN)
        self.from_state = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.head = nn.Linear(HIDDEN, SYMBOLS)
        nn.init.orthogonal_(self.from_state.weight)  # so that what was seen neither fades nor explodes

    def forward(self, x):
        h = np.zeros((len(x), HIDDEN), np.float32)
        scores = []
        for t in range(x.shape[1]):
            h = np.tanh(self.from_input(x[:, t]) + self.from_state(h))
            scores.append(self.head(h))
        return np.stack(scores, axis=1)


def sequences(n, rng):
    """Random symbols, one-hot, and the expected answers from step DELAY on."""
    symbols = rng.integers(0, SYMBOLS, (n, LENGTH))
    return np.eye(SYMBOLS, dtype=np.float32)[symbols], symbols[:, :-DELAY]


def main(steps=600):
    fastnn.manual_seed(0)
    rng, model, criterion, losses = np.random.default_rng(0), Recurrent(), nn.CrossEntropyLoss(), []
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        x, target = sequences(BATCH, rng)
        scores = model(fastnn.Tensor(x))[:, DELAY:]
        loss = criterion(scores.reshape(-1, SYMBOLS), target.reshape(-1))
        optimizer.zero_grad()
        loss.backward()  # through all steps
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: loss {losses[-1]:.3f}")
    x, target = sequences(500, rng)
    accuracy = (model(x)[:, DELAY:].argmax(axis=2) == target).mean()
    print(f"{accuracy:.1%} of the symbols of new sequences are remembered")
    return losses, accuracy


if __name__ == "__main__":
    main()
