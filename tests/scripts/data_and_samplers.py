"""Data of all kinds: own data sets, samplers, iterable ones, splits, weights, batches of dictionaries, workers, seeds."""

import random
from collections import namedtuple

import numpy as np
import torch
from fixed_numbers import images
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

Sample = namedtuple("Sample", "image label")


class Images(Dataset):
    def __init__(self, count, seed):
        self.x, self.y = images(count, size=4, seed=seed)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"image": self.x[index], "label": int(self.y[index]), "name": f"image {index}", "pair": (1.5, index)}


class Numbers(IterableDataset):
    def __init__(self, end):
        self.end = end

    def __iter__(self):
        for value in range(self.end):
            yield Sample(np.full(2, value, dtype=np.float32), value)


class Reversed(torch.utils.data.Sampler):
    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source) - 1, -1, -1))

    def __len__(self):
        return len(self.data_source)


def seed_worker(worker_id):
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)


dataset = Images(10, 1)
for workers in (0, 2):
    loader = DataLoader(dataset, batch_size=4, num_workers=workers, worker_init_fn=seed_worker)
    for batch in loader:
        first, second = batch["pair"]
        print(batch["image"].shape, batch["image"].dtype, batch["label"].tolist(), batch["name"][0], first.dtype, second.tolist())
    print(len(loader), f"{batch['image'].sum().item():.5f}")
for batch in DataLoader(Numbers(7), batch_size=3):
    print(type(batch).__name__, batch.image.tolist(), batch.label)
print([batch.tolist() for batch in DataLoader(list(range(10)), batch_size=4, drop_last=True)])
print([batch.tolist() for batch in DataLoader(torch.arange(6), sampler=Reversed(range(6)), batch_size=2)])
print(list(DataLoader(range(3), batch_size=None)))

both = ConcatDataset([Images(3, 2), Images(4, 3)])
print(len(both), both.cumulative_sizes, both[5]["label"])
train, valid, test = random_split(dataset, [0.5, 0.3, 0.2])
print(len(train), len(valid), len(test), sorted(train.indices + valid.indices + test.indices))
print(len(Subset(dataset, [1, 3])), Subset(dataset, [1, 3])[1]["name"])

torch.manual_seed(3)
order = [i for batch in DataLoader(range(20), batch_size=3, shuffle=True) for i in batch.tolist()]
torch.manual_seed(3)
again = [i for batch in DataLoader(range(20), batch_size=3, shuffle=True) for i in batch.tolist()]
print(order == again, sorted(order) == list(range(20)), order != list(range(20)))
half = [i for batch in DataLoader(range(20), sampler=SubsetRandomSampler(range(10, 20))) for i in batch.tolist()]
print(sorted(half))
weights = [0.0] * 5 + [1.0] * 2
chosen = list(WeightedRandomSampler(weights, 50, replacement=True))
print(len(chosen), sorted(set(chosen)))
print(list(BatchSampler(SequentialSampler(range(7)), 3, False)), len(list(RandomSampler(range(9), num_samples=4))))
generator = torch.Generator().manual_seed(7)
print(sorted(torch.randperm(5, generator=generator).tolist()), torch.randint(0, 3, (100,)).unique().tolist())

whole = TensorDataset(torch.from_numpy(dataset.x), torch.from_numpy(dataset.y))
mean = torch.stack([x for x, _ in whole], dim=3).view(3, -1).mean(dim=1)
std = torch.stack([x for x, _ in whole], dim=3).view(3, -1).std(dim=1)
print([f"{v:.5f}" for v in mean.tolist()], [f"{v:.5f}" for v in std.tolist()])
x, y = next(iter(DataLoader(whole, batch_size=len(whole))))
print(x.shape, torch.unique(y, return_counts=True)[1].sum().item(), f"{x.amax(dim=(1, 2, 3)).sum().item():.5f}")
