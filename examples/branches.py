"""A network with branches and a skip connection. Only `forward` is written; fastnn computes the gradients."""

import numpy as np

import fastnn
from fastnn import data, nn, optim, training
from fastnn import functional as F

IMAGES, EPOCHS, BATCH = 10_000, 6, 64


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(16, 16, 5, padding=2)
        self.narrow = nn.Conv2d(16, 16, 1)
        self.join = nn.Conv2d(32, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16 * 8 * 8, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        both = np.concatenate([F.relu(self.wide(x)), F.relu(self.narrow(x))], axis=1)  # two branches, side by side
        x = F.relu(self.norm(self.join(both)) + x)  # what went around them
        return self.head(F.max_pool2d(x, 2).reshape(len(x), -1))


def main(n_images=IMAGES, epochs=EPOCHS):
    fastnn.manual_seed(0)
    train, test = data.Shapes32(n_images), data.Shapes32(1000, train=False)
    scaling = {"mean": train.mean, "std": train.std}
    model, criterion = Branches(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader, losses = data.Loader(train, batch_size=BATCH, shuffle=True, **scaling), []
    for epoch in range(epochs):
        total = 0.0
        for x, labels in loader:
            loss = criterion(model(fastnn.Tensor(x)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        losses.append(total / n_images)
        print(f"epoch {epoch + 1}: loss {losses[-1]:.3f}")
    accuracy = training.evaluate(model, data.Loader(test, batch_size=500, **scaling)).accuracy
    print(f"test accuracy: {accuracy:.1%}")
    return losses, accuracy


if __name__ == "__main__":
    main()
