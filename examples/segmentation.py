"""Say of every pixel what it belongs to: a network that goes down, up again, and looks back across.

Source: Ronneberger et al., 2015, "U-Net: convolutional networks for biomedical image segmentation".
"""

import numpy as np

import fastnn
from fastnn import functional as F
from fastnn import nn, optim

SIZE, WIDTH, STEPS, BATCH = 32, 12, 300, 16


def pictures(n, rng):
    """Noisy pictures of a disc and a box, and the class of every pixel: 0 ground, 1 disc, 2 box."""
    y, x = np.mgrid[:SIZE, :SIZE]
    cy, cx, box_y, box_x = rng.integers(6, SIZE - 6, (4, n, 1, 1))
    radius, height, width = rng.integers(4, 9, (3, n, 1, 1))
    masks = np.zeros((n, SIZE, SIZE), np.int64)
    masks[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 1
    masks[(abs(y - box_y) <= height) & (abs(x - box_x) <= width)] = 2
    grey = rng.uniform([-1, 0, 0], [-0.5, 1, 1], (n, 3))[np.arange(n)[:, None, None], masks]
    return (grey + rng.normal(0, 0.2, masks.shape))[:, None].astype(np.float32), masks


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, WIDTH), block(WIDTH, 2 * WIDTH), block(2 * WIDTH, 4 * WIDTH)
        self.up2, self.up1 = nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 2, 2), nn.Upsample(scale_factor=2)
        self.join2, self.join1 = block(4 * WIDTH, 2 * WIDTH), block(3 * WIDTH, WIDTH)
        self.head = nn.Conv2d(WIDTH, 3, 1)

    def forward(self, x):
        fine = self.down1(x)
        coarse = self.down2(F.max_pool2d(fine, 2))
        x = self.bottom(F.max_pool2d(coarse, 2))
        x = self.join2(np.concatenate([self.up2(x), coarse], axis=1))
        return self.head(self.join1(np.concatenate([self.up1(x), fine], axis=1)))


def main(steps=STEPS):
    fastnn.manual_seed(0)
    rng, model = np.random.default_rng(0), UNet()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        images, masks = pictures(BATCH, rng)
        loss = F.cross_entropy(model(fastnn.Tensor(images)), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}")
    images, masks = pictures(200, rng)
    right = model.eval()(images).argmax(axis=1) == masks
    print(f"{right.mean():.1%} of the pixels are right, {right[masks > 0].mean():.1%} of those on a disc or box")
    return right.mean(), right[masks > 0].mean(), (masks == 0).mean()


if __name__ == "__main__":
    main()
