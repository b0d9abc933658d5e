"""Every argument of everything public in fastnn.data meets nonsense: one TypeError or ValueError that names it."""

import inspect

import numpy as np
import pytest
from PIL import Image

from fastnn import data
from fastnn import functional as F

IMAGES = np.arange(4 * 3 * 6 * 7, dtype=np.uint8).reshape(4, 3, 6, 7)
MAPS = np.zeros((4, 2, 3))

# Arguments that are right, of which each in turn is replaced.
CALLS = {
    data.Brightness: {"amount": 0.1},
    data.Compose: {"steps": [data.RandomCrop(1)]},
    data.Contrast: {"amount": 0.1},
    data.CutMix: {},
    data.Cutout: {"size": 2},
    data.Dataset: {"images": IMAGES, "labels": [0, 1, 0, 1]},
    data.AlternatingFlip: {},
    data.GaussianNoise: {},
    data.Hue: {"amount": 0.1},
    data.ImageFolder: {"size": 4},
    data.Loader: {"dataset": IMAGES},
    data.MixUp: {},
    data.Preprocessing: {},
    data.RandomCrop: {"padding": 1},
    data.RandomHorizontalFlip: {},
    data.Rotate: {"degrees": 10},
    data.Saturation: {"amount": 0.1},
    data.Scale: {"scale": 0.1},
    data.Shapes32: {"n": 2},
    data.Translate: {"pixels": 1},
    data.read_image: {},
    F.augment_batch: {"images": IMAGES, "indices": [0, 1]},
    F.warp_batch: {"x": IMAGES / 255, "maps": MAPS},
}
NOT_HERE = {"CIFAR10", "MNIST", "Augmentation", "DataError", "DataNotFoundError"}

NONSENSE = [
    *(None, "", "nonsense", b"x", 1j, float("nan"), float("inf"), -1, -0.5, 2.5, 2**63, -(2**63), 10**400, 10**5000),
    *(object(), object, [], [1, 2, 3, 4, 5], [[1], [1, 2]], ["a"], [None], {}, {1: 2}, {1}, slice("a"), range(3), ...),
    *(np.zeros(0), np.zeros((2, 3, 4, 5, 6)), np.array(2.5), np.array("a"), np.zeros((4, 3, 6, 7), complex)),
    *(np.array([None] * 4), np.array([["a", "b"]]), np.datetime64("2020-01-01"), np.full((4, 2, 3), 1e300)),
]


def test_data_arguments_lists_everything_public():
    public = {getattr(data, name) for name in data.__all__ if name not in NOT_HERE}
    assert public == set(CALLS) - {F.augment_batch, F.warp_batch}


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_data_arguments_that_are_nonsense_raise_errors_that_name_them(function, tmp_path):
    path = tmp_path / "set/a/1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (5, 6)).save(path)
    right = dict(CALLS[function])
    if function in (data.ImageFolder, data.read_image):
        right["path"] = tmp_path / "set" if function is data.ImageFolder else path
    function(**right)
    for argument in inspect.signature(function).parameters:
        for value in NONSENSE:
            try:
                function(**(right | {argument: value}))
            except (TypeError, ValueError, IndexError) as error:
                said = str(error)
                # A mixture of labels and images names both; the name of the function is always there.
                assert function.__name__ in said, (argument, value, said)
                assert len(said) < 500, said
            except OSError:
                assert argument == "path"


@pytest.mark.parametrize(
    "augmentation",
    [data.RandomCrop(1), data.Cutout(2), data.AlternatingFlip(), data.Hue(0.1), data.Rotate(5), data.GaussianNoise(),
     data.MixUp(), data.CutMix(), data.Compose([data.Brightness(0.1)]), data.Preprocessing()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_data_calls_with_nonsense_raise_errors_that_name_them(augmentation):
    name = type(augmentation).__name__
    right = [IMAGES, *([[0, 1, 2, 3]] if isinstance(augmentation, data.MixUp | data.CutMix) else [])]
    for position in range(len(right)):
        for value in NONSENSE[:-1]:  # the last is an image
            arguments = [*right[:position], value, *right[position + 1 :]]
            settings = {"num_classes": 4} if len(right) == 2 else {}
            with pytest.raises((TypeError, ValueError, FileNotFoundError)) as caught:
                augmentation(*arguments, **settings)
            said = str(caught.value)
            assert any(word in said for word in (name, "one_hot", "read_image", "No such file")), (value, said)
