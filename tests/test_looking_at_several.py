"""Networks of several inputs: summary, profile, gradcheck."""

import numpy as np
import pytest

import fastnn
from fastnn import insight, models, nn


class Joined(nn.Module):
    """An image and a row of numbers."""

    def __init__(self):
        super().__init__()
        self.image, self.row, self.head = nn.Linear(12, 4), nn.Linear(5, 4), nn.Linear(8, 3)

    def forward(self, image, row):
        features = [self.image(image.reshape(len(image), -1)), self.row(row)]
        return self.head(np.concatenate(features, axis=1))


IMAGE, ROW = np.ones((2, 3, 2, 2), np.float32), np.ones((2, 5), np.float32)
WAYS = pytest.mark.parametrize("as_dict", [False, True], ids=["tuple", "dict"])


@WAYS
def test_summary_of_several_inputs(as_dict):
    shapes = {"row": (2, 5), "image": (2, 3, 2, 2)} if as_dict else ((2, 3, 2, 2), (2, 5))
    summary = models.summarize(Joined(), shapes)
    assert summary.batch_size == 2
    assert [(layer.path, layer.multiplications) for layer in summary.layers] == [
        ("image", 2 * 12 * 4), ("row", 2 * 5 * 4), ("head", 2 * 8 * 3)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((2, 3), 5), r"^summarize: input_shape must be an integer or several"),
        (((2, 3), ("a",)), r"^summarize: input_shape\[1\] must be"),
        ({"image": (2, 0)}, r"^summarize: input_shape\['image'\] must be"),
        ({"image": 3}, r"^summarize: input_shape\['image'\] must be several integers"),
        (3, r"^summarize: input_shape must be several integers"),
    ],
)
def test_summary_names_the_shape_that_makes_no_sense(shapes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        models.summarize(Joined(), shapes)


@WAYS
def test_profile_of_several_inputs(as_dict):
    x = {"row": ROW, "image": IMAGE} if as_dict else (IMAGE, ROW)
    profile = fastnn.profile(Joined(), x, np.array([0, 2]), rounds=1)
    assert profile.batch_size == 2
    forwards = {row.path: row.multiplications for row in profile.rows if row.direction == "forward"}
    assert (forwards["image"], forwards["row"], forwards["head"]) == (96, 40, 48)


def test_profile_names_the_input_that_makes_no_sense():
    with pytest.raises(TypeError, match=r"^profile: x\[1\] must hold numbers"):
        fastnn.profile(Joined(), (IMAGE, np.array(["a", "b"])), np.array([0, 2]))
    with pytest.raises(ValueError, match=r"^profile: x\[0\] must hold at least one image"):
        fastnn.profile(Joined(), (IMAGE[:0], ROW), np.array([0, 2]))


def test_gradcheck_of_several_inputs():
    assert insight.gradcheck(Joined(), (IMAGE.astype(np.float64), ROW.astype(np.float64))).ok
