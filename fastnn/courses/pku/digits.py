"""The ten digits of the PKU assignment, its initial weights, and the losses that it prints."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.courses.pku.pictures import read_image
from fastnn.data import DataError, DataNotFoundError
from fastnn.data._files import places
from fastnn.data._npz import read_npz

PIXELS = 28 * 28
HIDDEN = 16
SEED = 14  # the assignment's np.random.seed
LR = 0.1
ITERATIONS = 50

# Of BP.py and of bn.py, before each of the 50 updates.
MLP_LOSSES = (
    9.779284770, 4.179958912, 3.212628090, 2.781939233, 2.521983696, 2.317483164, 2.140868130, 1.984310589,
    1.844338086, 1.718717435, 1.605697625, 1.503788222, 1.411693541, 1.328286517, 1.252585865, 1.183731285,
    1.120961516, 1.063599521, 1.011044784, 0.962769368, 0.918314042, 0.877282330, 0.839332326, 0.804167360,
    0.771526991, 0.741179493, 0.712916328, 0.686548487, 0.661904207, 0.638827491, 0.617177001, 0.596825049,
    0.577656584, 0.559568154, 0.542466874, 0.526269422, 0.510901116, 0.496295060, 0.482391389, 0.469136602,
    0.456482977, 0.444388048, 0.432814139, 0.421727930, 0.411100042, 0.400904626, 0.391118949, 0.381722966,
    0.372698895, 0.364030784,
)  # fmt: skip
BN_LOSSES = (
    13.901854798, 3.033448550, 2.752286567, 2.656001582, 2.593305208, 2.539740282, 2.489078262, 2.439408137,
    2.390089215, 2.340904017, 2.291789582, 2.242744966, 2.193797334, 2.144988604, 2.096369477, 2.047996165,
    1.999928136, 1.952226276, 1.904951297, 1.858162359, 1.811915913, 1.766264794, 1.721257556, 1.676938045,
    1.633345189, 1.590512963, 1.548470511, 1.507242358, 1.466848710, 1.427305777, 1.388626123, 1.350819010,
    1.313890718, 1.277844853, 1.242682615, 1.208403045, 1.175003238, 1.142478537, 1.110822698, 1.080028039,
    1.050085578, 1.020985149, 0.992715518, 0.965264480, 0.938618963, 0.912765114, 0.887688389, 0.863373637,
    0.839805179, 0.816966884,
)  # fmt: skip

# Sums of the pixels of the ten images: other pictures of digits would give other losses.
_SUMS = (31095, 17135, 29601, 35867, 19443, 27525, 28443, 25296, 27106, 23214)
_FOLDERS = ("pku-mnist-subset", "mnist_subset")  # of this project's data; of the assignment's archive
_EXPECTED = "courses/pku_mlp_bn_expected.npz"
_NEEDED = (
    *(f"bp_{name}" for name in ("dW1_first", "dW2_first", "W1_final", "W2_final")),
    *(f"bn_{name}_first" for name in ("x", "dout", "dx", "dgamma", "dbeta")),
    *(f"bn_{name}" for name in ("batch_means", "batch_vars", "W1_final", "W2_final", "gamma_final", "beta_final")),
)


def read_digits(root: str | os.PathLike[str] | None = None) -> NDArray[np.float64]:
    """The ten images as rows of numbers in 0..1; row i shows the digit i.

    Args:
        root: the folder with `pku-mnist-subset` or the assignment's `mnist_subset`, or that folder itself; None to
            look where FASTNN_DATA points and in the cache folder.
    Shape:
        - Result: (10, 784)
    Raises:
        DataNotFoundError: they are nowhere.
        DataError: a file is damaged or shows something else.
    """
    places_tried = list(places(root))
    candidates = [place / name for place in places_tried for name in (*_FOLDERS, "")]
    folder = next((path for path in candidates if (path / "0.png").is_file()), None)
    if folder is None:
        raise DataNotFoundError(
            f"the ten digits 0.png to 9.png of the PKU assignment were not found: there is neither {_FOLDERS[0]} nor "
            f"{_FOLDERS[1]} in {', '.join(map(str, places_tried))}: let --data or the environment variable "
            "FASTNN_DATA name the folder that has one of them"
        )
    # Ten files, one after the other; everything that follows works on the whole array.
    rows = [_read_digit(folder / f"{digit}.png", total) for digit, total in enumerate(_SUMS)]
    return np.stack(rows) / 255.0


def _read_digit(path: Path, total: int) -> NDArray[np.uint8]:
    pixels = read_image(path, "L", formats=("PNG",), most_pixels=64 * 64)
    if pixels.shape != (28, 28):
        raise DataError(f"{pixels.shape[1]} x {pixels.shape[0]} pixels, not 28 x 28", path)
    if int(pixels.sum()) != total:
        raise DataError(f"not the assignment's image: its pixels sum up to {pixels.sum()}, not {total}", path)
    return pixels.reshape(PIXELS)


def labels(images: int) -> NDArray[np.float64]:
    """1 for the digit 0, 0 for the others.

    Shape:
        - Result: (images, 1)
    Example:
        >>> labels(3).tolist()
        [[1.0], [0.0], [0.0]]
    """
    result = np.zeros((images, 1))
    result[0] = 1.0
    return result


def initial_values() -> dict[str, NDArray[np.float64]]:
    """W1, W2, gamma and beta, in the order in which the assignment draws them.

    `RandomState` is the generator behind `np.random.seed` and `np.random.randn`, without their global state.

    Example:
        >>> {name: value.shape for name, value in initial_values().items()}
        {'W1': (784, 16), 'W2': (16, 1), 'gamma': (16,), 'beta': (16,)}
    """
    rng = np.random.RandomState(SEED)
    shapes = {"W1": (PIXELS, HIDDEN), "W2": (HIDDEN, 1), "gamma": (HIDDEN,), "beta": (HIDDEN,)}
    return {name: rng.randn(*shape) for name, shape in shapes.items()}


def expected_arrays(root: str | os.PathLike[str] | None = None) -> Mapping[str, NDArray[np.float64]] | None:
    """Arrays of a run in plain NumPy, by name, or None if the data folder does not have that file.

    It is not part of the assignment, so a student with the assignment's archive does without.
    """
    found = next((place / _EXPECTED for place in places(root) if (place / _EXPECTED).is_file()), None)
    if found is None:
        return None
    return read_npz(found, _NEEDED)
