"""Change an image step by step until a trained network predicts another class, with the gradient of the input.

Every step moves each pixel by STEP grey levels of 256, in the direction in which the loss of the wanted class falls.
Source: Goodfellow et al., 2015, "Explaining and harnessing adversarial examples".
"""

import numpy as np

import fastnn
from fastnn import data, nn, optim, training

IMAGES, EPOCHS, STEP, MOST_STEPS, TRIES = 10_000, 5, 0.5, 60, 10


def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 4 * 4, 10))  # fmt: skip


def fool(model, image, wanted):
    """An image that the model takes for the class `wanted`, or the last image tried."""
    criterion, label = nn.CrossEntropyLoss(), np.array([wanted])
    x = fastnn.tensor(image[None], requires_grad=True)
    for _ in range(MOST_STEPS):
        scores = model(x)
        if scores.argmax() == wanted:
            break
        gradient = fastnn.grad(criterion(scores, label), x)
        x.data = np.clip(x.data - STEP / 256 * np.sign(gradient), 0, 1)
    return x.data[0]


def main(n_images=IMAGES, epochs=EPOCHS):
    fastnn.manual_seed(0)
    train, test = data.Shapes32(n_images), data.Shapes32(500, train=False)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    training.fit(model, data.Loader(train, batch_size=64, shuffle=True), epochs, optimizer=optimizer, progress=False)
    model.eval()
    images = (test.images / 255).astype(np.float32)
    seen = model(images).argmax(axis=1)
    print(f"test accuracy: {(seen == test.labels).mean():.1%}")
    changes = []
    for index in np.flatnonzero(seen == test.labels)[:TRIES]:
        wanted = (test.labels[index] + 1) % 10
        fooled = fool(model, images[index], wanted)
        sees, change = model(fooled[None]).argmax(), 255 * abs(fooled - images[index]).max()
        print(f"a {test.classes[test.labels[index]]} is a {test.classes[sees]}, {change:.1f} grey levels away")
        changes.append(change if sees == wanted else np.inf)
    return changes


if __name__ == "__main__":
    main()
