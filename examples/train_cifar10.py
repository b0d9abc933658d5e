"""Train a small network on CIFAR-10 with a loop written by hand. Without the data, use `Shapes32` for `CIFAR10`."""

import numpy as np

from fastnn import data, nn, optim

train, test = data.CIFAR10(train=True, download=True), data.CIFAR10(train=False)
scaling = {"mean": train.mean, "std": train.std}
loader = data.Loader(
    train, batch_size=256, shuffle=True, augment=[data.RandomHorizontalFlip(), data.RandomCrop(4)], **scaling
)
model = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(64 * 8 * 8, 10))  # fmt: skip
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.005, momentum=0.9, nesterov=True, weight_decay=5e-4)
for epoch in range(5):
    for x, y in loader:  # x: (N, 3, 32, 32) float32, y: (N,) int64
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss:.3f}")
model.eval()
right = [model(x).argmax(axis=1) == y for x, y in data.Loader(test, batch_size=500, **scaling)]
print(f"test accuracy: {np.concatenate(right).mean():.1%}")
