"""A generator against a critic: two optimisers, detached fakes, weights by class name, penalty of gradients, averages."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.parallel
import torch.optim as optim
from fixed_numbers import images

random = np.random.default_rng(3)


def noise(*shape):
    return torch.as_tensor(random.standard_normal(shape).astype(np.float32))


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        m.weight.data = noise(*m.weight.shape) * 0.1
    elif classname.find("BatchNorm") != -1:
        torch.nn.init.constant_(m.weight, 1.0)
        torch.nn.init.zeros_(m.bias)


class Generator(nn.Module):
    def __init__(self, nz=8, ngf=6, nc=1):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self, nc=1, ndf=6, norm=True):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2) if norm else nn.Identity(),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


x, _ = images(48, 1, seed=51)
x = torch.from_numpy(x).clamp(-1, 1)
netG, netD = Generator(), Discriminator()
netG.apply(weights_init)
netD.apply(weights_init)
criterion = nn.BCEWithLogitsLoss()
optimizerD = optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
average = copy.deepcopy(netG)
real_label, fake_label = 1.0, 0.0
for step in range(4):
    real = x[step % 3 * 16 : step % 3 * 16 + 16]
    netD.zero_grad()
    label = torch.full((16,), real_label, dtype=torch.float)
    errD_real = criterion(netD(real), label)
    errD_real.backward()
    fake = netG(noise(16, 8, 1, 1))
    label.fill_(fake_label)
    output = netD(fake.detach())
    errD_fake = criterion(output, label)
    errD_fake.backward()
    errD = errD_real + errD_fake
    optimizerD.step()
    netG.zero_grad()
    label.fill_(real_label)
    errG = criterion(netD(fake), label)
    errG.backward()
    optimizerG.step()
    with torch.no_grad():
        for p, q in zip(average.parameters(), netG.parameters()):
            p.lerp_(q, 0.1)
    print(f"[{step}] Loss_D: {errD.item():.5f} Loss_G: {errG.item():.5f} D(x): {output.sigmoid().mean().item():.5f}")
print(f"average {sum(p.double().sum() for p in average.parameters()).item():.5f}")

# Smooth functions: a penalty on the gradient of the critic by its input.
critic = nn.Sequential(nn.Flatten(), nn.Linear(256, 16), nn.Tanh(), nn.Linear(16, 1))
with torch.no_grad():
    for p in critic.parameters():
        p.copy_(noise(*p.shape) * 0.1)
optimizer = optim.RMSprop(critic.parameters(), lr=1e-3)
for step in range(3):
    alpha = torch.as_tensor(random.random((16, 1, 1, 1)).astype(np.float32))
    mixed = (alpha * x[:16] + (1 - alpha) * x[16:32]).requires_grad_(True)
    scores = critic(mixed)
    (grads,) = torch.autograd.grad(scores, mixed, grad_outputs=torch.ones_like(scores))
    norms = grads.flatten(1).norm(2, dim=1)
    loss = critic(x[32:]).mean() - critic(x[:16]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    for p in critic.parameters():
        p.data.clamp_(-0.15, 0.15)
    print(f"critic {loss.item():.6f} slope {norms.mean().item():.5f} {norms.var(unbiased=False).item():.7f}")
