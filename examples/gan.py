"""Train two networks against each other: one makes images from noise, the other distinguishes them from real ones.

Source: Radford et al., 2015, "Unsupervised representation learning with deep convolutional GANs".
"""

import numpy as np

import fastnn
from fastnn import data, nn, optim

NOISE, WIDTH, BATCH = 32, 16, 32


def larger(c_in, c_out):  # twice the height and width
    return nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()


def smaller(c_in, c_out):
    return nn.Conv2d(c_in, c_out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)


def roughness(images):
    """The mean difference of neighbouring pixels in standard deviations: larger for noise than for images."""
    return abs(np.diff(images, axis=3)).mean() / images.std()


def main(steps=600):
    fastnn.manual_seed(0)
    rng, criterion, roughnesses = np.random.default_rng(0), nn.BCEWithLogitsLoss(), []
    real = (data.Shapes32(4000).images / 127.5 - 1).astype(np.float32)
    draws = nn.Sequential(
        nn.ConvTranspose2d(NOISE, 4 * WIDTH, 4, bias=False), nn.BatchNorm2d(4 * WIDTH), nn.ReLU(),
        *larger(4 * WIDTH, 2 * WIDTH), *larger(2 * WIDTH, WIDTH),
        nn.ConvTranspose2d(WIDTH, 3, 4, stride=2, padding=1), nn.Tanh())  # fmt: skip
    tells = nn.Sequential(
        *smaller(3, WIDTH), *smaller(WIDTH, 2 * WIDTH), *smaller(2 * WIDTH, 4 * WIDTH),
        nn.Flatten(), nn.Linear(4 * WIDTH * 4 * 4, 1))  # fmt: skip
    of_draws, of_tells = (optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.999)) for model in (draws, tells))
    yes, no = np.ones((BATCH, 1), np.float32), np.zeros((BATCH, 1), np.float32)
    for step in range(steps + 1):
        fake = draws(fastnn.Tensor(rng.standard_normal((BATCH, NOISE, 1, 1)).astype(np.float32)))
        shown = fastnn.Tensor(real[rng.integers(0, len(real), BATCH)])
        loss = criterion(tells(shown), yes) + criterion(tells(fake.detach()), no)  # not for the one that draws
        of_tells.zero_grad()
        loss.backward()
        of_tells.step()
        loss_of_draws = criterion(tells(fake), yes)  # it learns to be taken for real
        of_draws.zero_grad()
        loss_of_draws.backward()
        of_draws.step()
        roughnesses.append(roughness(fake.data))
        if step % 100 == 0:
            print(f"{step}: losses {loss.item():.3f} {loss_of_draws.item():.3f}, roughness {roughnesses[-1]:.3f}")
    print(f"roughness of real pictures: {roughness(real):.3f}")
    return roughnesses


if __name__ == "__main__":
    main()
