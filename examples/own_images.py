"""Train on a folder of your own images, save the weights, and predict the class of a new image.

    python own_images.py FOLDER PICTURE

FOLDER has a folder for each class: FOLDER/cat/1.jpg, FOLDER/dog/2.jpg. Sizes may differ. Pillow is needed:
pip install "fastnn[image]".
"""

import sys

import fastnn
from fastnn import data, nn, training

folder, picture = sys.argv[1:]
fastnn.manual_seed(0)
images = data.ImageFolder(folder, size=32)
train, validation = images.split(0.2)
scaling = {"mean": images.mean, "std": images.std}
loader = data.Loader(train, batch_size=32, shuffle=True, augment=data.RandomHorizontalFlip(), **scaling)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Linear(32 * 4 * 4, len(images.classes)))  # fmt: skip


model = network()
training.fit(model, loader, epochs=10, val_loader=data.Loader(validation, **scaling))
fastnn.save(model, "own_images.safetensors")  # with mean, std, size and the names of the classes

model = network()
fastnn.load("own_images.safetensors", model)
print(picture, "is a", *training.predict_classes(model, picture))
