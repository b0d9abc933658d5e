"""A variational autoencoder: noise given, a loss of two parts, images of the middle written as a grid of numbers."""

import numpy as np
import torch
import torch.utils.data
from fixed_numbers import fill, images
from torch import nn, optim
from torch.nn import functional as F

random = np.random.default_rng(5)


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(144, 40)
        self.fc21 = nn.Linear(40, 6)
        self.fc22 = nn.Linear(40, 6)
        self.fc3 = nn.Linear(6, 40)
        self.fc4 = nn.Linear(40, 144)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(random.standard_normal(tuple(std.shape)).astype("float32"))
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 144))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 144), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


x, _ = images(64, 1, size=12, seed=41)
dataset = torch.utils.data.TensorDataset(torch.sigmoid(torch.from_numpy(x)), torch.zeros(64))
train_loader = torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=False)
model = fill(VAE())
with torch.no_grad():
    for name in ("fc21", "fc22"):
        getattr(model, name).weight.mul_(0.2)
optimizer = optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(1, 4):
    model.train()
    train_loss = 0
    for batch_idx, (data, _) in enumerate(train_loader):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print(f"====> Epoch: {epoch} Average loss: {train_loss / len(train_loader.dataset):.5f}")
model.eval()
with torch.no_grad():
    recon, mu, logvar = model(data)
    n = min(data.size(0), 4)
    comparison = torch.cat([data[:n], recon.view(16, 1, 12, 12)[:n]])
    print(comparison.shape, f"{comparison.std().item():.5f} {comparison.median().item():.5f}")
    middle = model.decode(torch.zeros(1, 6)).view(12, 12)
    print([f"{v:.4f}" for v in middle.diagonal().tolist()])
