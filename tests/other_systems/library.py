"""Training, files, pictures and diagnosis in one process of a pretended system."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

import fastnn
from fastnn import data, models, nn, optim, training
from fastnn.training.callbacks import Callback

assert sys.platform == os.environ["PRETENDED_SYSTEM"]


class Interrupting(Callback):
    """A key that stops the program, within a step."""

    def __init__(self, step):
        self.at = step

    def on_gradients(self, trainer):
        if trainer.step == self.at:
            signal.raise_signal(signal.SIGINT)


def network():
    fastnn.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 10))


def batches():
    images = data.Shapes32(100)
    return data.Loader(images, batch_size=20, shuffle=True, mean=images.mean, std=images.std)


def trained(**options):
    model = network()
    training.fit(model, batches(), 3, **options)
    return model


whole = trained()
try:
    trained(out="fit", callbacks=[Interrupting(7)])
except training.Interrupted:
    pass
else:
    raise AssertionError("it was not interrupted")
again = trained(out="fit", callbacks=[Interrupting(None)], resume="fit/last.safetensors")
for name, value in whole.state_dict().items():
    np.testing.assert_array_equal(value, again.state_dict()[name], name)

for name in ("weights.safetensors", "weights.pth"):
    for _ in range(2):  # the second replaces the first
        fastnn.save(whole, name)
        fastnn.load(name, network())
assert not [name for name in os.listdir() if name.endswith(".part")]
print(models.summarize(whole, (1, 3, 32, 32)))
print(fastnn.diagnose(whole, batches()))
x, y = next(iter(batches()))
print(fastnn.profile(whole, x, y, optimizer=optim.SGD(whole.parameters(), lr=0.1), rounds=1))

# Files like those of CIFAR-10.
folder = Path("data", "cifar-10-batches-bin")
folder.mkdir(parents=True)
rng = np.random.default_rng(0)
for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
    records = rng.integers(0, 256, (10_000, 3073), np.uint8)
    records[:, 0] %= 10
    (folder / name).write_bytes(records.tobytes())
test = data.CIFAR10("data", train=False)
np.testing.assert_array_equal(test.images.reshape(len(test), -1), records[:, 1:])
np.testing.assert_array_equal(test.labels, records[:, 0])

try:
    from PIL import Image
except ImportError:
    print("without Pillow")
else:
    for kind in "ab":
        Path("pictures", kind).mkdir(parents=True)
        Image.new("RGB", (40, 30), "red").save(f"pictures/{kind}/1.png")
    assert data.ImageFolder("pictures", size=16).images.shape == (2, 3, 16, 16)
