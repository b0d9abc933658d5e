"""A script for PyTorch, with a loader that has workers and a process that begins anew."""

import os
import sys

import torch
import torch.multiprocessing as mp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

assert sys.platform == os.environ["PRETENDED_SYSTEM"]


def add(queue):
    queue.put(torch.ones(2).sum().item())


def main():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    x = torch.randn(32, 1, 8, 8)
    y = (x.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        for images, labels in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
    for _ in range(2):
        torch.save(net.state_dict(), "net.pth")
    net.load_state_dict(torch.load("net.pth"))
    queue = mp.Queue()
    process = mp.Process(target=add, args=(queue,))
    process.start()
    print("the process says", queue.get(timeout=100))
    process.join()
    print("memory", torch.cuda.is_available())


if __name__ == "__main__":
    main()
