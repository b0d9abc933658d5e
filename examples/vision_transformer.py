"""A small vision transformer on CIFAR-10: an image is a sequence of patches that attend to each other.

Run it with `python examples/vision_transformer.py`; it takes a few minutes on two cores.
"""

import numpy as np

from fastnn import data, nn, optim, training

WIDTH, HEADS, DEPTH, PATCH = 64, 4, 3, 4


class Block(nn.Module):
    """Attention, then a small network for each patch, each with a skip connection."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches of 4 x 4 pixels become vectors, to which a learned position is added."""

    def __init__(self, size=32, classes=10):
        super().__init__()
        n = (size // PATCH) ** 2
        self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.position = nn.Parameter(np.random.default_rng(0).normal(0, 0.02, (1, n, WIDTH)).astype(np.float32))
        self.blocks = nn.Sequential(*[Block() for _ in range(DEPTH)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, classes)

    def forward(self, x):
        x = self.patches(x)  # (N, WIDTH, 8, 8)
        x = x.reshape(len(x), WIDTH, -1).swapaxes(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(axis=1))


def train(train_set, test_set, epochs=3, progress=True):
    """The history of a training."""
    scaling = {"mean": train_set.mean, "std": train_set.std}
    loader = data.Loader(train_set, batch_size=128, shuffle=True, augment=[data.RandomHorizontalFlip()], **scaling)
    model = VisionTransformer()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    return training.fit(model, loader, epochs, optimizer, progress=progress,
                        val_loader=data.Loader(test_set, batch_size=500, **scaling))  # fmt: skip


if __name__ == "__main__":
    print(train(data.CIFAR10(train=True, download=True), data.CIFAR10(train=False)))
