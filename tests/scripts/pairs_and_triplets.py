"""Networks used twice on two images: pairs made by a data set of one's own, contrast, triplets, distances, nearest."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from fixed_numbers import fill, images
from torch.utils.data import DataLoader, Dataset, SequentialSampler


class PairDataset(Dataset):
    def __init__(self, x, y, seed=0):
        self.x, self.y = x, y
        self.random = np.random.default_rng(seed)
        self.pairs = self.random.integers(0, len(x), (len(x), 2))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        a, b = self.pairs[index]
        same = np.float32(self.y[a] == self.y[b])
        return (torch.tensor(self.x[a]), torch.tensor(self.x[b])), torch.from_numpy(np.array([same]))


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.fc = nn.Linear(8 * 16, 6)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("centre", torch.zeros(6))

    def forward(self, x):
        out = self.fc(self.conv(x).flatten(start_dim=1)) - self.centre
        return F.normalize(out, p=2, dim=-1) * self.scale


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        distance = F.pairwise_distance(a, b, keepdim=True)
        return torch.mean(same * torch.pow(distance, 2) + (1 - same) * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2))


def collate(samples):
    pairs, same = zip(*samples)
    first, second = zip(*pairs)
    return torch.stack(first), torch.stack(second), torch.cat(same).unsqueeze(1)


x, y = images(64, seed=61)
dataset = PairDataset(x, y)
loader = DataLoader(dataset, batch_size=16, sampler=SequentialSampler(dataset), collate_fn=collate, drop_last=True)
net = fill(Embedding())
criterion = ContrastiveLoss(2.0)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
for epoch in range(3):
    total = torch.zeros(1)
    for first, second, same in loader:
        optimizer.zero_grad()
        loss = criterion(net(first), net(second), same)
        loss.backward()
        optimizer.step()
        total += loss.detach() * first.size(0)
    schedule.step()
    print(f"epoch {epoch} loss {total.item() / len(dataset):.6f} lr {optimizer.param_groups[0]['lr']} same {same.sum().item()}")

triplet = nn.TripletMarginLoss(margin=0.5)
with torch.no_grad():
    net.centre.copy_(net(torch.from_numpy(x)).mean(0))
labels = torch.from_numpy(y)
anchor = torch.stack([torch.from_numpy(x)[labels == c][0] for c in labels.unique()])
positive = torch.stack([torch.from_numpy(x)[labels == c][1] for c in range(4)])
for step in range(3):
    optimizer.zero_grad()
    loss = triplet(net(anchor), net(positive), net(anchor.roll(1, dims=0)))
    loss.backward()
    optimizer.step()
    print(f"triplet {loss.item():.6f} scale {net.scale.item():.5f} {net.scale.grad.item():.5f}")

net.eval()
with torch.no_grad():
    codes = net(torch.from_numpy(x))
    distances = torch.cdist(codes, codes)
    distances.fill_diagonal_(float("inf"))
    nearest = distances.argmin(dim=1)
    print("nearest of the same class:", (labels[nearest] == labels).float().mean().item())
    similar = torch.mm(codes[:4], codes[:4].t()) / codes[:4].norm(dim=1, keepdim=True).pow(2)
    print([[f"{v:.4f}" for v in row] for row in similar.tolist()])
    counts = torch.bincount(labels, minlength=4)
    means = torch.zeros(4, 6).index_add_(0, labels, codes) / counts[:, None]
    print(counts.tolist(), f"{means.norm().item():.5f}", f"{(codes - means[labels]).pow(2).sum(1).sqrt().mean().item():.5f}")
print(sorted(net.state_dict()), net.centre.requires_grad)
