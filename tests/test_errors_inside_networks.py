"""Errors inside networks: their notes name the layer, the way of the arrays and what to write; nothing else changes."""

import traceback

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn

IMAGES = np.zeros((8, 3, 32, 32), np.float32)


def notes(model, *arguments, error=ValueError, backward=None):
    """Those of the error of a call, or of a backward after it."""
    if backward is not None:
        model(*arguments)
    with pytest.raises(error) as caught:
        model(*arguments) if backward is None else model.backward(backward)
    return getattr(caught.value, "__notes__", [])


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(4)
        )
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(512, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


WAY = (
    "input (8, 3, 32, 32) -> features.0 Conv2d (8, 64, 32, 32) -> features.1 BatchNorm2d (8, 64, 32, 32)"
    " -> features.2 ReLU (8, 64, 32, 32) -> features.3 MaxPool2d (8, 64, 16, 16)"
    " -> features.4 MaxPool2d (8, 64, 4, 4) -> classifier.0 Dropout (8, 64, 4, 4) -> classifier.1 Flatten (8, 1024)"
)
LINEAR_NOTES = [
    "in classifier.2, Linear(in_features=512, out_features=10, bias=True)",
    WAY,
    "1024 = 64 * 4 * 4, the channels, height and width before classifier.1 Flatten; write Linear(1024, 10)",
]


def test_linear_after_flatten_says_the_path_the_way_and_the_arithmetic():
    with pytest.raises(ValueError, match="linear: x has 1024 features, weight expects 512") as caught:
        Network()(IMAGES)
    error = caught.value
    assert str(error) == (
        "linear: x has 1024 features, weight expects 512. Received: x.shape=(8, 1024), weight.shape=(10, 512)"
    )
    assert error.__notes__ == LINEAR_NOTES
    assert "".join(traceback.format_exception(error)).endswith("\n".join([f"ValueError: {error}", *LINEAR_NOTES, ""]))


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("as_tensor", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_notes_are_the_same_for_arrays_and_tensors_in_all_modes(recording, as_tensor, training):
    model = Network().train(training)
    x = fastnn.tensor(IMAGES, requires_grad=True) if as_tensor else IMAGES
    with fastnn.enable_grad() if recording else fastnn.no_grad():
        found = notes(model, x)
    assert found[0] == LINEAR_NOTES[0]
    assert found[2] == LINEAR_NOTES[2]
    assert ("Dropout" in found[1]) == training  # which else gives what it gets


S = nn.Sequential
CASES = {
    "channels": (
        S(nn.Conv2d(3, 8, 3), nn.Conv2d(16, 4, 3)), IMAGES,
        ["in 1, Conv2d(16, 4, kernel_size=(3, 3), stride=(1, 1))",
         "input (8, 3, 32, 32) -> 0 Conv2d (8, 8, 30, 30)", "write Conv2d(8, 4, ...)"],
    ),
    "groups": (nn.Conv2d(8, 8, 3, groups=4), IMAGES,
               ["with groups=4 the channels must be a multiple of 4, and x has 3"]),
    "depthwise": (nn.Conv2d(6, 12, 3, groups=6), IMAGES[:, :1].repeat(8, 1),
                  ["with groups=6 the channels must be a multiple of 6, and x has 8"]),
    "NHWC": (
        S(nn.Conv2d(3, 8, 3)), IMAGES.transpose(0, 2, 3, 1),
        ["in 0, Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))", "input (8, 32, 32, 3)",
         "x looks like images of (N, H, W, C), (8, 32, 32, 3); this network takes (N, C, H, W): "
         "write x.transpose(0, 3, 1, 2)"],
    ),
    "grey": (
        nn.Conv2d(3, 8, 3), IMAGES[:, :1],
        ["x holds grey images; for them write Conv2d(1, 8, ...), or repeat the channel: numpy.repeat(x, 3, axis=1)"],
    ),
    "one image": (nn.Conv2d(3, 8, 3), IMAGES[0], ["one image without the axis of the batch? write x[None]"]),
    "one HWC image": (nn.Conv2d(3, 8, 3), IMAGES[0].transpose(1, 2, 0),
                      ["one image of (H, W, C)? write x.transpose(2, 0, 1)[None]"]),
    "grey without channel": (nn.Conv2d(1, 8, 3), IMAGES[:, 0], ["grey images of (N, H, W)? write x[:, None]"]),
    "flat too early": (
        S(nn.Flatten(), nn.Conv2d(3, 8, 3)), IMAGES,
        ["in 1, Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))",
         "input (8, 3, 32, 32) -> 0 Flatten (8, 3072)",
         "0 Flatten has joined the axes (8, 3, 32, 32) to (8, 3072); this layer must come before it"],
    ),
    "batch norm": (
        S(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(16), nn.ReLU()), IMAGES,
        ["in 1, BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
         "input (8, 3, 32, 32) -> 0 Conv2d (8, 8, 30, 30)", "write BatchNorm2d(8)"],
    ),
    "batch norm of features": (nn.BatchNorm2d(3), IMAGES[:, :, 0, 0], ["for 2 axes there is nn.BatchNorm1d"]),
    "batch norm of images": (nn.BatchNorm1d(3), IMAGES, ["for images there is nn.BatchNorm2d"]),
    "group norm": (nn.GroupNorm(3, 12), IMAGES, ["write GroupNorm(3, 3)"]),
    "layer norm": (nn.LayerNorm(16), IMAGES, ["the last axis of x: write LayerNorm(32)"]),
    "layer norm of images": (nn.LayerNorm((3, 16, 16)), IMAGES,
                             ["the last 3 axes of x: write LayerNorm((3, 32, 32))"]),
    "linear without flatten": (
        S(nn.MaxPool2d(8), nn.Linear(48, 10)), IMAGES,
        ["in 1, Linear(in_features=48, out_features=10, bias=True)",
         "input (8, 3, 32, 32) -> 0 MaxPool2d (8, 3, 4, 4)",
         "48 = 3 * 4 * 4: put nn.Flatten() before this layer"],
    ),
    "one example": (
        S(nn.Flatten(), nn.Linear(3072, 10)), IMAGES[0],
        ["in 1, Linear(in_features=3072, out_features=10, bias=True)",
         "input (3, 32, 32) -> 0 Flatten (3, 1024)",
         "3072 = 3 * 32 * 32: one example without the axis of the batch? write x[None]"],
    ),
    "one example without axis": (
        S(nn.Linear(3, 4), nn.BatchNorm1d(4)), IMAGES[0, :, 0, 0],
        ["in 1, BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
         "input (3,) -> 0 Linear (4,)", "one example without the axis of the batch? write x[None]"],
    ),
    "small for a kernel": (
        S(nn.MaxPool2d(4), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 7)), IMAGES,
        ["in 3, Conv2d(4, 4, kernel_size=(7, 7), stride=(1, 1))",
         "input (8, 3, 32, 32) -> 0 MaxPool2d (8, 3, 8, 8) -> 1 Conv2d (8, 4, 6, 6) -> 2 ReLU (8, 4, 6, 6)",
         "the image has shrunk: input 32 x 32, 0 MaxPool2d 8 x 8, 1 Conv2d 6 x 6; "
         "take larger images, padding, or fewer strides and poolings"],
    ),
    "small for pooling": (
        S(nn.MaxPool2d(16), nn.AvgPool2d(4)), IMAGES,
        ["in 1, AvgPool2d(kernel_size=(4, 4), stride=(4, 4), padding=(0, 0))",
         "input (8, 3, 32, 32) -> 0 MaxPool2d (8, 3, 2, 2)",
         "the image has shrunk: input 32 x 32, 0 MaxPool2d 2 x 2; "
         "take larger images, padding, or fewer strides and poolings"],
    ),
    "attention": (nn.MultiheadAttention(16, 4), None, ["write MultiheadAttention(8, 4)"]),
    "recurrent": (nn.GRU(5, 4), np.zeros((2, 7, 3), np.float32), ["write GRU(3, 4)"]),
    "recurrent, features first": (
        nn.LSTM(5, 4), np.zeros((2, 5, 3), np.float32),
        ["x looks like (N, features, length), (2, 5, 3); write x.transpose(0, 2, 1)"],
    ),
    "residual": (
        S(nn.Identity(), nn.Residual(nn.Conv2d(3, 8, 3, stride=2, padding=1))), IMAGES,
        ["in 1, Residual", "input (8, 3, 32, 32)",
         "the body gives images of 16 x 16, the shortcut of 32 x 32: give the convolutions the same strides, and "
         "padding that keeps the size (kernel_size // 2)",
         "the body gives 8 channels, the shortcut 3",
         "give the block a shortcut that changes the channels: nn.Conv2d(3, 8, 1, stride=2)"],
    ),
}  # fmt: skip


CASES |= {
    "tuple": (
        S(nn.GRU(4, 3), nn.Linear(3, 2)), np.zeros((2, 5, 4), np.float32),
        ["in 1, Linear(in_features=3, out_features=2, bias=True)", "input (2, 5, 4) -> 0 GRU (2, 5, 3)",
         "0 GRU gives a tuple of several arrays, and this layer takes one: give it the first, y[0]"],
    ),
    "prelu": (nn.PReLU(7), IMAGES, ["write PReLU(1), or PReLU(3) for a weight of each channel"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_notes_say_what_to_write(name):
    model, x, expected = CASES[name]
    if x is None:
        x = np.zeros((2, 5, 8), np.float32)
        assert notes(model, x, x, x) == expected
    else:
        assert notes(model, x) == expected


def test_advice_that_is_followed_works():
    for size in (20, 33, 48):
        model = Network()
        words = notes(model, np.zeros((2, 3, size, size), np.float32))[-1].rpartition("write ")[2]
        model.classifier[2] = eval(f"nn.{words}", {"nn": nn})
        assert model(np.zeros((2, 3, size, size), np.float32)).shape == (2, 10)


def test_losses_of_classes():
    labels = np.zeros(8, int)
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss()):
        assert notes(loss, IMAGES[:, :, :1, :1], labels) == [
            "the network gives images of one pixel: put nn.Flatten() at its end, or write x.reshape(len(x), -1)"
        ]
        assert notes(loss, IMAGES[:, :, 0, 0], labels[:, None]) == ["one label for each row: write target[:, 0]"]


def test_dtypes():
    model = nn.Sequential(nn.Identity(), nn.Conv2d(3, 8, 3))
    place = ["in 1, Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))", "input (8, 3, 32, 32)"]
    assert notes(model, IMAGES.astype(np.uint8), error=TypeError) == [
        *place, "x holds bytes, 0 to 255; write x.astype(numpy.float32) / 255, and normalise it as in training",
    ]  # fmt: skip
    assert notes(model, IMAGES.astype(np.float64), error=TypeError) == [
        *place,
        "x is float64, the parameters are float32; write x.astype(numpy.float32), "
        "or convert the network: model.astype(numpy.float64)",
    ]


def test_embedding():
    model = nn.Sequential(nn.Embedding(10, 4))
    place = ["in 0, Embedding(10, 4)", "input (2,)"]
    assert notes(model, np.array([3, 12]), error=IndexError) == [
        *place, "the largest index is 12: write Embedding(13, 4)",
    ]  # fmt: skip
    assert notes(model, np.array([-1, 2]), error=IndexError) == [
        *place, "the smallest index is -1; rows are counted from 0",
    ]  # fmt: skip
    assert notes(model, np.array([1.0, 2.0]), error=TypeError) == [
        *place, "an Embedding looks up rows: write x.astype(numpy.int64)",
    ]  # fmt: skip


# ---- forwards of one's own -------------------------------------------------------------------------------------------
class Two(nn.Module):
    """Two ways, put together by a function."""

    def __init__(self, join):
        super().__init__()
        self.left, self.right, self.join = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, padding=1), join

    def forward(self, x):
        return self.join(self.left(x), self.right(x))


BRANCHES = [
    "first: input (8, 3, 32, 32) -> body.left Conv2d (8, 4, 30, 30)",
    "second: input (8, 3, 32, 32) -> body.right Conv2d (8, 4, 32, 32)",
]


def test_addition_in_a_forward_of_ones_own_names_the_module_and_both_ways():
    assert notes(nn.Sequential({"body": Two(lambda a, b: a + b)}), IMAGES) == [
        "in the forward of body, Two",
        *BRANCHES,
        "the first gives images of 30 x 30, the second of 32 x 32: give the convolutions the same strides, and "
        "padding that keeps the size (kernel_size // 2)",
    ]


def test_concatenation_and_reshape_in_a_forward_of_ones_own():
    assert notes(nn.Sequential({"body": Two(lambda a, b: np.concatenate([a, b], axis=1))}), IMAGES) == [
        "in the forward of body, Two",
        *BRANCHES,
        "(8, 4, 30, 30), (8, 4, 32, 32): all axes but 1 must be equal, axes 2 and 3 differ",
    ]
    assert notes(Two(lambda a, b: a.reshape(len(a), 100)), IMAGES) == [
        "in the forward of Two",
        "input (8, 3, 32, 32) -> left Conv2d (8, 4, 30, 30)",
        "x has 28800 = 8 * 4 * 30 * 30 elements; for one row for each image write x.reshape(len(x), -1)",
    ]


def test_functions_between_layers_are_on_the_way():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(100, 10)

        def forward(self, x):
            x = F.relu(self.conv(x))
            return self.head(x.reshape(len(x), -1))

    assert notes(Net(), IMAGES) == [
        "in head, Linear(in_features=100, out_features=10, bias=True)",
        "input (8, 3, 32, 32) -> conv Conv2d (8, 4, 30, 30) -> relu (8, 4, 30, 30) -> Reshape (8, 3600)",
        "3600 = 4 * 30 * 30, the channels, height and width before Reshape; write Linear(3600, 10)",
    ]


def test_layer_used_twice_is_named_by_all_its_paths():
    layer = nn.Conv2d(3, 4, 3)
    assert notes(nn.Sequential(layer, nn.ReLU(), layer), IMAGES)[:2] == [
        "in 0 (also 2), Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))",
        "input (8, 3, 32, 32) -> 0 Conv2d (8, 4, 30, 30) -> 1 ReLU (8, 4, 30, 30)",
    ]


def test_layer_that_is_not_registered_is_told():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 3), nn.Linear(2, 1)]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    assert notes(Net(), np.zeros((5, 4), np.float32))[0] == (
        "in Linear(in_features=2, out_features=1, bias=True), which no module has registered "
        "(nn.ModuleList registers those of a list)"
    )


def test_long_ways_are_cut_in_the_middle():
    layers = [nn.Conv2d(3 + i, 4 + i, 1) for i in range(20)]
    way = notes(nn.Sequential(*layers, nn.Conv2d(1, 1, 1)), IMAGES)[1]
    assert way.count("->") == 9
    assert way.startswith("input (8, 3, 32, 32) -> 0 Conv2d (8, 4, 32, 32) -> 1 Conv2d (8, 5, 32, 32) -> ... -> 14 ")
    assert way.endswith("-> 19 Conv2d (8, 23, 32, 32)")


# ---- backward --------------------------------------------------------------------------------------------------------
class Doubles(nn.Module):
    """With a backward of its own, which is wrong."""

    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return self.wrong(dy)


def test_gradient_of_a_wrong_shape_names_the_layer():
    x, dy = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(Doubles(lambda dy: dy[:1])), nn.Linear(2, 2))
    model(x)
    with pytest.raises(ValueError, match=r"Doubles.backward: gradient 0 must have the shape of the input, \(4, 2\)"):
        model.backward(dy)
    assert notes(model, x, backward=dy) == ["in the backward of 1.0, Doubles()"]
    model = nn.Sequential(nn.Linear(3, 2), Doubles(lambda dy: dy @ np.ones((3, 2))))
    assert notes(model, x, backward=dy) == ["in the backward of 1, Doubles()"]


def test_backward_of_ones_own_names_the_layer_that_refuses():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(2, 5)

        def forward(self, x):
            return self.second(self.first(x))

        def backward(self, dy):
            return self.first.backward(dy)  # without the second

    x, dy = np.zeros((4, 3), np.float32), np.zeros((4, 5), np.float32)
    assert notes(Net(), x, backward=dy) == [
        "in the backward of first, Linear(in_features=3, out_features=2, bias=True)"
    ]
    assert notes(nn.Linear(3, 2), x, backward=dy) == []  # the message names it


# ---- scripts written for PyTorch -------------------------------------------------------------------------------------
def test_modules_of_a_script_have_the_notes_in_the_words_of_pytorch():
    import fastnn.compat.torch as torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(100, 10)

        def forward(self, x):
            return self.fc(torch.flatten(torch.relu(self.conv(x)), 1))

    found = notes(Net(), torch.zeros(8, 3, 32, 32))
    assert found[0] == "in fc, Linear(in_features=100, out_features=10, bias=True)"
    assert found[1].startswith("input (8, 3, 32, 32) -> conv Conv2d (8, 4, 30, 30) -> ")
    assert found[2].startswith("3600 = 4 * 30 * 30, the channels, height and width before")
    assert found[2].endswith("; write Linear(3600, 10)")
    assert notes(torch.nn.Conv2d(3, 4, 3), torch.zeros(8, 32, 32, 3)) == [
        "x looks like images of (N, H, W, C), (8, 32, 32, 3); this network takes (N, C, H, W): "
        "write x.permute(0, 3, 1, 2)"
    ]


def test_errors_of_a_script_are_untouched():
    import fastnn.compat.torch as torch

    class Refuses(torch.nn.Module):
        def forward(self, x):
            raise ValueError("of mine")

    assert notes(torch.nn.Sequential(Refuses()), torch.zeros(2)) == []
