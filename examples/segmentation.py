"""Predict the class of every pixel with a small U-Net: down, up, and connections across (Ronneberger et al., 2015)."""

import numpy as np

import fastnn
from fastnn import functional as F
from fastnn import nn, optim


def pictures(n, rng, size=32):
    """Noisy images of a disc and a box, and the class of every pixel: 0 background, 1 disc, 2 box."""
    y, x = np.mgrid[:size, :size]
    cy, cx, box_y, box_x = rng.integers(6, size - 6, (4, n, 1, 1))
    radius, height, width = rng.integers(4, 9, (3, n, 1, 1))
    masks = np.where((y - cy) ** 2 + (x - cx) ** 2 <= radius**2, 1, 0)
    masks[(abs(y - box_y) <= height) & (abs(x - box_x) <= width)] = 2
    images = np.where(masks > 0, 0.7, -0.3) + rng.normal(0, 0.5, masks.shape)
    return images[:, None].astype(np.float32), masks


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, w=12):
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, w), block(w, 2 * w), block(2 * w, 4 * w)
        self.up2, self.up1 = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2), nn.Upsample(scale_factor=2)
        self.join2, self.join1, self.head = block(4 * w, 2 * w), block(3 * w, w), nn.Conv2d(w, 3, 1)

    def forward(self, x):
        fine = self.down1(x)
        coarse = self.down2(F.max_pool2d(fine, 2))
        x = self.up2(self.bottom(F.max_pool2d(coarse, 2)))
        x = self.up1(self.join2(np.concatenate([x, coarse], axis=1)))
        return self.head(self.join1(np.concatenate([x, fine], axis=1)))


def main(steps=300):
    fastnn.manual_seed(0)
    rng, model = np.random.default_rng(0), UNet()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        images, masks = pictures(16, rng)
        loss = F.cross_entropy(model(fastnn.Tensor(images)), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss after {steps} steps: {loss.item():.3f}")
    images, masks = pictures(200, rng)
    right = model.eval()(images).argmax(axis=1) == masks
    accuracy, of_shapes = right.mean(), right[masks > 0].mean()
    print(f"{accuracy:.1%} of the pixels are right, {of_shapes:.1%} of those on a disc or box")
    return accuracy, of_shapes


if __name__ == "__main__":
    main()
