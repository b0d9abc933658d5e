"""Decide whether two views show the same image: one network, trained by contrastive loss (Hadsell et al., 2006)."""

import numpy as np

import fastnn
from fastnn import data, nn, optim

PAIRS, MARGIN = 64, 1.0  # views of one picture are pulled together, others are pushed apart as far as this


def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32 * 2 * 2, 16))  # fmt: skip


def views(pictures, rng):
    """The images with random mirroring, shift and brightness."""
    mirrored = np.where(rng.random((len(pictures), 1, 1, 1)) < 0.5, pictures[..., ::-1], pictures)
    lit = mirrored * rng.uniform(0.6, 1.4, (len(pictures), 1, 1, 1))
    return np.roll(lit, rng.integers(-6, 7, 2), axis=(2, 3)).astype(np.float32)


def pairs(pictures, n, rng):
    """n pairs of views, half of them of the same image, and whether they are."""
    first, second = rng.integers(0, len(pictures), (2, n))
    second[: n // 2] = first[: n // 2]
    return views(pictures[first], rng), views(pictures[second], rng), first == second


def distances(model, a, b):
    return np.sqrt(np.square(model(a) - model(b)).sum(axis=1) + 1e-6)


def main(steps=400):
    fastnn.manual_seed(0)
    pictures, unseen = (data.Shapes32(3000, train=train).images / 128 - 1 for train in (True, False))
    rng, model, losses = np.random.default_rng(0), network(), []
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        a, b, same = pairs(pictures, PAIRS, rng)
        d = distances(model, fastnn.Tensor(a), fastnn.Tensor(b))
        loss = np.where(same, d**2, np.maximum(MARGIN - d, 0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"loss: {losses[0]:.3f} at first, {losses[-1]:.3f} after {steps} steps")
    a, b, same = pairs(unseen, 1000, rng)
    accuracy = ((distances(model.eval(), a, b) < MARGIN / 2) == same).mean()
    print(f"{accuracy:.1%} of pairs of unseen pictures are told right")
    return losses, accuracy


if __name__ == "__main__":
    main()
