"""One network with two heads and two losses: it classifies a shape, and reconstructs a small image of it."""

import numpy as np

import fastnn
from fastnn import data, nn, optim
from fastnn import functional as F

IMAGES, EPOCHS, BATCH, WEIGHT = 8000, 6, 64, 2.0


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten())  # fmt: skip
        self.classes = nn.Linear(32 * 4 * 4, 10)
        self.picture = nn.Linear(32 * 4 * 4, 3 * 8 * 8)

    def forward(self, x):
        features = self.body(x)
        return self.classes(features), self.picture(features).reshape(-1, 3, 8, 8)


def main(n_images=IMAGES, epochs=EPOCHS):
    fastnn.manual_seed(0)
    train, test = data.Shapes32(n_images), data.Shapes32(1000, train=False)
    scaling = {"mean": train.mean, "std": train.std}
    model = TwoHeads()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader, history = data.Loader(train, batch_size=BATCH, shuffle=True, **scaling), []
    for epoch in range(epochs):
        sums = np.zeros(2)
        for x, labels in loader:
            scores, picture = model(fastnn.Tensor(x))
            named = F.cross_entropy(scores, labels)
            drawn = F.mse_loss(picture, F.avg_pool2d(x, 4))
            optimizer.zero_grad()
            (named + WEIGHT * drawn).backward()  # both gradients meet in the body
            optimizer.step()
            sums += len(x) * np.array([named.item(), drawn.item()])
        history.append(sums / n_images)
        print(f"epoch {epoch + 1}: cross entropy {history[-1][0]:.3f}, squared error {history[-1][1]:.4f}")
    model.eval()
    right = [model(x)[0].argmax(axis=1) == labels for x, labels in data.Loader(test, batch_size=500, **scaling)]
    accuracy = np.concatenate(right).mean()
    print(f"test accuracy: {accuracy:.1%}")
    return np.array(history), accuracy


if __name__ == "__main__":
    main()
