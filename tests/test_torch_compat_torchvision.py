"""fastnn.compat.torchvision does what torchvision does: functions, transforms, pictures, data sets."""

import inspect
import pickle

import numpy as np
import pytest
from PIL import Image

from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision import datasets, io, models, transforms, utils
from fastnn.compat.torchvision.transforms import functional, v2

pytestmark = [pytest.mark.torchvision, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@pytest.fixture(scope="module")
def torchvision():
    import torchvision
    import torchvision.transforms.v2

    return torchvision


def pixels(channels=3, h=13, w=10, seed=0):
    smooth = np.random.default_rng(seed).integers(0, 256, (5, 5, channels), np.uint8)
    image = Image.fromarray(smooth[..., 0] if channels == 1 else smooth).resize((w, h), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(h, w, channels)


def pillow(channels=3, h=13, w=10, seed=0):
    array = pixels(channels, h, w, seed)
    return Image.fromarray(array[..., 0] if channels == 1 else array)


def tensor(channels=3, h=13, w=10, dtype=np.float32, seed=0):
    array = pixels(channels, h, w, seed).transpose(2, 0, 1)
    return array.copy() if dtype == np.uint8 else (array / 255).astype(dtype)


KINDS = {
    "RGB": lambda: pillow(3),
    "L": lambda: pillow(1),
    "float": lambda: tensor(3),
    "grey float": lambda: tensor(1),
    "uint8": lambda: tensor(3, dtype=np.uint8),
    "batch": lambda: np.stack([tensor(3), tensor(3, seed=1)]),
}


def given(kind, torch):
    """The same image for either library."""
    value = KINDS[kind]()
    return (value, value) if isinstance(value, Image.Image) else (new(value.copy()), torch.from_numpy(value.copy()))


def as_array(value):
    if isinstance(value, Image.Image):
        return np.asarray(value)
    return value.detach().numpy()


def assert_same(own, theirs, atol=0.0):
    if isinstance(theirs, tuple | list):
        assert len(own) == len(theirs)
        for one, other in zip(own, theirs, strict=True):
            assert_same(one, other, atol)
        return
    assert isinstance(own, Image.Image) == isinstance(theirs, Image.Image)
    a, b = as_array(own), as_array(theirs)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    atol = atol if a.dtype.kind == "f" else (1 if atol else 0)
    np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=0, atol=atol)


# ---- functions -------------------------------------------------------------------------------------------------------
ALL, BYTES, COLOUR = tuple(KINDS), ("RGB", "L", "uint8"), ("RGB", "float", "uint8", "batch")
TENSORS = ("float", "grey float", "uint8", "batch")
FLOATS = ("float", "grey float", "batch")
# name, arguments, kinds of images, tolerance of floats (of bytes it allows 1)
FUNCTIONS = [
    ("crop", (2, 3, 5, 6), ALL, 0),
    ("crop", (-2, 5, 20, 9), ALL, 0),
    ("center_crop", (6,), ALL, 0),
    ("center_crop", ((5, 8),), ALL, 0),
    ("center_crop", ((20, 17),), ALL, 0),
    ("five_crop", (5,), ALL, 0),
    ("ten_crop", ((5, 4),), ALL, 0),
    ("hflip", (), ALL, 0),
    ("vflip", (), ALL, 0),
    ("pad", (2,), ALL, 0),
    ("pad", ([1, 2],), ALL, 0),
    ("pad", ([1, 2, 3, 4], 7), BYTES, 0),
    ("pad", ([1, 2, 3, 4], 0, "edge"), ALL, 0),
    ("pad", ([1, 2, 3, 4], 0, "reflect"), ALL, 0),
    ("pad", ([1, 2, 3, 4], 0, "symmetric"), ALL, 0),
    ("resize", (7,), ALL, 1e-6),
    ("resize", ((20, 31),), ALL, 1e-6),
    ("resize", (7, 0), ALL, 0),
    ("resize", ((5, 6), 3), ALL, 2e-6),
    ("resize", (20, 2, 23), ALL, 1e-6),
    ("resized_crop", (1, 2, 8, 7, (5, 5)), ALL, 1e-6),
    ("rotate", (33.0,), ALL, 0),
    ("rotate", (-75.0, 2), ALL, 1e-5),
    ("rotate", (10.0, 0, True), ALL, 0),
    ("rotate", (20.0, 0, False, [2, 3]), ALL, 0),
    ("affine", (20.0, [1, 2], 1.1, [5.0, 3.0]), ALL, 0),
    ("affine", (-8.0, [0, 0], 0.8, [0.0, 0.0], 2), ALL, 1e-5),
    ("perspective", ([[0, 0], [9, 0], [9, 12], [0, 12]], [[1, 1], [8, 0], [9, 11], [0, 10]]), ALL, 2e-5),
    ("adjust_brightness", (1.4,), ALL, 1e-6),
    ("adjust_brightness", (0.3,), ALL, 1e-6),
    ("adjust_contrast", (1.7,), ALL, 1e-6),
    ("adjust_contrast", (0.4,), ALL, 1e-6),
    ("adjust_saturation", (1.9,), ALL, 1e-6),
    ("adjust_saturation", (0.2,), ALL, 1e-6),
    ("adjust_hue", (0.21,), ALL, 1e-5),
    ("adjust_hue", (-0.4,), ALL, 1e-5),
    ("adjust_sharpness", (1.8,), ALL, 1e-6),
    ("adjust_sharpness", (0.3,), ALL, 1e-6),
    ("adjust_gamma", (0.7, 1.2), ALL, 1e-6),
    ("rgb_to_grayscale", (), ALL, 1e-6),
    ("rgb_to_grayscale", (3,), ALL, 1e-6),
    ("to_grayscale", (3,), ("RGB", "L"), 0),
    ("gaussian_blur", (5,), ALL, 1e-6),
    ("gaussian_blur", ([3, 5], [0.7, 1.4]), ALL, 1e-6),
    ("invert", (), ALL, 0),
    ("posterize", (3,), BYTES, 0),
    ("solarize", (0.5,), FLOATS, 0),
    ("solarize", (128,), BYTES, 0),
    ("autocontrast", (), ALL, 1e-6),
    ("equalize", (), BYTES, 0),
    ("to_tensor", (), ("RGB", "L"), 0),
    ("pil_to_tensor", (), ("RGB", "L"), 0),
    ("to_pil_image", (), ("float", "grey float", "uint8"), 0),
    ("normalize", ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]), ("float", "batch"), 1e-6),
    ("normalize", ([0.4], [0.2]), FLOATS, 1e-6),
    ("erase", (2, 3, 4, 5, 0.5), FLOATS, 0),
    ("get_dimensions", (), ALL, 0),
    ("get_image_size", (), ALL, 0),
    ("get_image_num_channels", (), ALL, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "kinds", "atol"), FUNCTIONS)
def test_functions_give_what_torchvision_gives(torch, torchvision, name, arguments, kinds, atol):
    theirs = torchvision.transforms.functional
    for kind in kinds:
        own_image, their_image = given(kind, torch)
        their_arguments = arguments
        if name in ("resize", "rotate", "affine"):
            modes = {0: "nearest", 2: "bilinear", 3: "bicubic"}
            position = {"resize": 1, "rotate": 1, "affine": 4}[name]
            if len(arguments) > position:
                mode = torchvision.transforms.InterpolationMode(modes[arguments[position]])
                their_arguments = (*arguments[:position], mode, *arguments[position + 1 :])
        if name == "resize" and kind not in ("RGB", "L") and len(arguments) > 1 and arguments[1] == 3:
            continue  # bicubic of tensors overshoots, and is compared below
        found = getattr(functional, name)(own_image, *arguments)
        expected = getattr(theirs, name)(their_image, *their_arguments)
        if name.startswith("get_"):
            assert found == list(expected) if isinstance(expected, list) else found == expected
        else:
            assert_same(found, expected, atol)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(5, 6), (20, 17), (13, 4)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_are_resized_as_torchvision_does(torch, torchvision, kind, mode, size, antialias):
    own_image, their_image = given(kind, torch)
    found = functional.resize(own_image, size, functional.InterpolationMode(mode), antialias=antialias)
    their_mode = torchvision.transforms.InterpolationMode(mode)
    expected = torchvision.transforms.functional.resize(their_image, size, their_mode, antialias=antialias)
    assert_same(found, expected, 3e-6)


@pytest.mark.parametrize("of", ["uint8", "int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("to", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_dtypes_are_converted_as_torchvision_does(torch, torchvision, of, to):
    kind = np.dtype(of)
    top = 1 if kind.kind == "f" else np.iinfo(kind).max
    array = (np.linspace(0, 1, 12) * top).astype(kind).reshape(1, 3, 4)
    if kind.kind == "f":
        array *= 0.999
    own_dtype = getattr(__import__("fastnn.compat.torch", fromlist=["torch"]), to)
    theirs = torchvision.transforms.functional.convert_image_dtype
    try:
        expected = theirs(torch.from_numpy(array.copy()), getattr(torch, to))
    except RuntimeError:
        with pytest.raises(RuntimeError, match="safely"):
            functional.convert_image_dtype(new(array), own_dtype)
        return
    assert_same(functional.convert_image_dtype(new(array), own_dtype), expected, 1e-7)


def test_all_functions_of_torchvision_are_compared_or_lack_with_advice(torchvision):
    theirs = torchvision.transforms.functional
    public = {
        name for name, value in vars(theirs).items()
        if inspect.isfunction(value) and value.__module__ == theirs.__name__ and not name.startswith("_")
    }  # fmt: skip
    lacking = {name for name in public if not hasattr(functional, name)}
    assert lacking == {"elastic_transform"}
    compared = {name for name, *_ in FUNCTIONS} | {"convert_image_dtype"}
    assert public - lacking - compared == set()


# ---- transforms ------------------------------------------------------------------------------------------------------
# name, arguments, kinds: with the numbers that torchvision draws where it draws any
TRANSFORMS = [
    ("CenterCrop", (6,), ALL, 0),
    ("ConvertImageDtype", (), (), 0),
    ("FiveCrop", (5,), ALL, 0),
    ("TenCrop", (5, True), ALL, 0),
    ("Grayscale", (3,), ALL, 1e-6),
    ("Pad", ([1, 2], 0, "reflect"), ALL, 0),
    ("Resize", (7,), ALL, 1e-6),
    ("ToTensor", (), ("RGB", "L"), 0),
    ("PILToTensor", (), ("RGB", "L"), 0),
    ("ToPILImage", (), ("float", "grey float"), 0),
    ("Normalize", ([0.5], [0.25]), FLOATS, 1e-6),
    ("RandomCrop", (8, 2), ALL, 0),
    ("RandomCrop", ((16, 8), [1, 0], True), ALL, 0),
    ("RandomResizedCrop", (6,), ALL, 1e-6),
    ("RandomRotation", (40,), ALL, 0),
    ("RandomAffine", (10, (0.1, 0.2), (0.8, 1.2), 5), ALL, 0),
    ("RandomPerspective", (0.5, 1.0), ALL, 2e-5),
    ("RandomErasing", (1.0,), FLOATS, 0),
    ("RandomErasing", (1.0, (0.1, 0.2), (0.5, 2.0), 0.7), FLOATS, 0),
    ("ColorJitter", (0.4, 0.4, 0.4, 0.2), COLOUR, 2e-5),
    ("GaussianBlur", (3,), ALL, 1e-6),
    ("RandomHorizontalFlip", (1.0,), ALL, 0),
    ("RandomVerticalFlip", (1.0,), ALL, 0),
    ("RandomGrayscale", (1.0,), ALL, 1e-6),
    ("RandomInvert", (1.0,), ALL, 0),
    ("RandomPosterize", (3, 1.0), BYTES, 0),
    ("RandomSolarize", (100, 1.0), BYTES, 0),
    ("RandomAdjustSharpness", (1.7, 1.0), ALL, 1e-6),
    ("RandomAutocontrast", (1.0,), ALL, 1e-6),
    ("RandomEqualize", (1.0,), BYTES, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "kinds", "atol"), TRANSFORMS)
def test_transforms_give_what_torchvision_gives(torch, torchvision, monkeypatch, name, arguments, kinds, atol):
    own_class, their_class = getattr(transforms, name), getattr(torchvision.transforms, name)
    for seed, kind in enumerate(kinds):
        own_image, their_image = given(kind, torch)
        if hasattr(their_class, "get_params"):
            params = their_class.get_params
            drawn = []

            def remember(*given, params=params, drawn=drawn, **named):
                drawn.append(params(*given, **named))
                return drawn[-1]

            with monkeypatch.context() as patch:
                patch.setattr(their_class, "get_params", staticmethod(remember))
                torch.manual_seed(seed)
                expected = their_class(*arguments)(their_image)

            def recall(*_, drawn=drawn):
                return tuple(map(_own, drawn[0])) if isinstance(drawn[0], tuple) else drawn[0]

            with monkeypatch.context() as patch:
                patch.setattr(own_class, "get_params", staticmethod(recall))
                found = own_class(*arguments)(own_image)
        else:
            expected, found = their_class(*arguments)(their_image), own_class(*arguments)(own_image)
        assert_same(found, expected, atol)


def _own(value):
    """torchvision's random number as this package has it."""
    if type(value).__name__ == "Tensor":
        return new(value.numpy().copy()) if value.is_floating_point() else value.tolist()
    return value


@pytest.mark.parametrize(("name", "arguments", "kinds", "atol"), TRANSFORMS)
def test_transforms_show_themselves_as_torchvision_does(torchvision, name, arguments, kinds, atol):
    if name in ("ConvertImageDtype", "RandomAffine", "RandomPerspective"):
        return
    assert repr(getattr(transforms, name)(*arguments)) == repr(getattr(torchvision.transforms, name)(*arguments))


def _classes(module):
    return {name: value for name, value in vars(module).items() if inspect.isclass(value) and not name.startswith("_")}


def _parameters(kind):
    found = [p for p in inspect.signature(kind).parameters.values() if p.name != "types"]
    return [(p.name, _plain(p.default)) for p in found]


def _plain(default):
    value = getattr(default, "value", default)
    return getattr(value, "name", value) if not isinstance(value, int | float | str | tuple | list) else value


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_constructors_have_the_arguments_of_torchvision(torchvision, version):
    own, theirs = (transforms, torchvision.transforms) if version == "v1" else (v2, torchvision.transforms.v2)
    lacking = set()
    for name, kind in _classes(theirs).items():
        if not hasattr(own, name):
            lacking.add(name)
        elif not issubclass(kind, __import__("enum").Enum) and name != "Transform":
            found, expected = _parameters(getattr(own, name)), _parameters(kind)
            assert [part[0] for part in found] == [part[0] for part in expected], name
            for (argument, default), (_, wanted) in zip(found, expected, strict=True):
                assert default == wanted or str(wanted).endswith(str(default)), (name, argument)
    assert lacking == (
        {"AugMix", "ElasticTransform"} if version == "v1" else
        {"AugMix", "ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "ElasticTransform", "JPEG",
         "RandomIoUCrop", "RandomPhotometricDistort", "RandomShortestSize", "RandomZoomOut", "SanitizeBoundingBoxes",
         "SanitizeKeyPoints", "ScaleJitter", "SetClampingMode", "UniformTemporalSubsample"}
    )  # fmt: skip


@pytest.mark.parametrize("module", ["datasets", "utils"])
def test_functions_and_data_sets_have_the_arguments_of_torchvision(torchvision, module):
    own, theirs = {"datasets": datasets, "utils": utils}[module], getattr(torchvision, module)
    compared = 0
    for name in own.__all__:
        if callable(getattr(own, name)) and name != "draw_bounding_boxes":
            found, expected = _parameters(getattr(own, name)), _parameters(getattr(theirs, name))
            assert [part[0] for part in found] == [part[0] for part in expected], name
            for (argument, default), (_, wanted) in zip(found, expected, strict=True):
                assert default == wanted or callable(wanted), (name, argument)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("policy", ["IMAGENET", "CIFAR10", "SVHN"])
def test_policies_are_those_of_torchvision(torchvision, policy):
    own = transforms.AutoAugment(transforms.AutoAugmentPolicy[policy])
    theirs = torchvision.transforms.AutoAugment(torchvision.transforms.AutoAugmentPolicy[policy])
    assert own.policies == theirs.policies


NAMES = ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
         "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert"]  # fmt: skip


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("name", NAMES)
def test_single_augmentations_are_those_of_torchvision(torch, torchvision, name, kind):
    from torchvision.transforms import autoaugment as theirs

    from fastnn.compat.torchvision.transforms import autoaugment as own

    own_image, their_image = given(kind, torch)
    augmenter = theirs.RandAugment()
    magnitudes, _ = augmenter._augmentation_space(31, (13, 10)).get(name, (torch.tensor(0.0), False))
    own_magnitudes = own._usual_magnitudes(31, 13, 10)
    if name in own_magnitudes:
        np.testing.assert_allclose(own_magnitudes[name], magnitudes.numpy(), rtol=1e-6)
    for strength in (7, 19):  # no pixel is asked for halfway between two
        magnitude = float(magnitudes[strength]) if magnitudes.ndim else 0.0
        found = own._change(own_image, name, magnitude, functional.InterpolationMode.NEAREST, None)
        expected = theirs._apply_op(
            their_image, name, magnitude, torchvision.transforms.InterpolationMode.NEAREST, None
        )
        assert_same(found, expected, 1e-6)


# ---- version 2 -------------------------------------------------------------------------------------------------------
def test_v2_transforms_a_sample_as_torchvision_does(torch, torchvision):
    theirs = torchvision.transforms.v2
    image, other = pillow(), pillow(seed=1)
    for sample in [(image, 3), {"image": image, "label": 3}, [image, other], (image, {"more": [other, "text"]})]:
        found = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.Pad(1)])(sample)
        expected = theirs.Compose([theirs.RandomHorizontalFlip(1.0), theirs.Pad(1)])(sample)
        leaves = [list(_leaves(part)) for part in (found, expected)]
        assert type(found) is type(expected)
        for one, two in zip(*leaves, strict=True):
            assert one == two


def _leaves(sample):
    if isinstance(sample, dict):
        sample = list(sample.values())
    if isinstance(sample, tuple | list):
        for part in sample:
            yield from _leaves(part)
    else:
        yield sample


def test_v2_of_tensors_changes_the_first_only(torch, torchvision):
    x = tensor()
    own = v2.RandomHorizontalFlip(1.0)(new(x), new(x))
    theirs = torchvision.transforms.v2.RandomHorizontalFlip(1.0)(torch.from_numpy(x), torch.from_numpy(x))
    assert_same(own, theirs)


@pytest.mark.parametrize("scale", [True, False])
def test_v2_converts_as_torchvision_does(torch, torchvision, scale):
    import fastnn.compat.torch as own_torch

    found = v2.Compose([v2.ToImage(), v2.ToDtype(own_torch.float32, scale=scale)])(pillow())
    theirs = torchvision.transforms.v2
    expected = theirs.Compose([theirs.ToImage(), theirs.ToDtype(torch.float32, scale=scale)])(pillow())
    assert_same(found, torch.Tensor(expected), 1e-7)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize("probabilities", [True, False])
def test_v2_mixing_is_that_of_torchvision(torch, torchvision, monkeypatch, name, probabilities):
    from fastnn.compat.torchvision.transforms import _draw

    x = np.random.default_rng(0).random((4, 3, 8, 9), np.float32)
    labels = np.eye(5, dtype=np.float32)[[0, 3, 4, 1]] if probabilities else np.array([0, 3, 4, 1])
    part, column, row = 0.3, 5, 2

    class Beta:
        def beta(self, *_):
            return part

    monkeypatch.setattr(_draw, "generator", Beta)
    answers = iter([column, row])
    monkeypatch.setattr(_draw, "integer", lambda *_: next(answers))
    found = getattr(v2, name)(num_classes=5)(new(x), new(labels))
    mixing = getattr(torchvision.transforms.v2, name)(num_classes=5)
    monkeypatch.setattr(mixing._dist, "sample", lambda *_: torch.tensor([part]), raising=False)
    their_answers = iter([column, row])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([next(their_answers)]))
    expected = mixing(torch.from_numpy(x), torch.from_numpy(labels))
    assert_same(found, expected, 1e-6)


# ---- pictures --------------------------------------------------------------------------------------------------------
GRIDS = [
    {}, {"nrow": 3}, {"padding": 0}, {"normalize": True}, {"normalize": True, "scale_each": True, "pad_value": 0.5},
    {"normalize": True, "value_range": (0.2, 0.7)},
]  # fmt: skip


@pytest.mark.parametrize("options", GRIDS)
@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 1, 4, 6), (1, 3, 4, 6), (3, 4, 6), (1, 4, 6), (4, 6)])
def test_make_grid_is_that_of_torchvision(torch, torchvision, options, shape):
    x = np.random.default_rng(0).random(shape, np.float32)
    found, expected = utils.make_grid(new(x), **options), torchvision.utils.make_grid(torch.from_numpy(x), **options)
    assert_same(found, expected, 1e-6)


def test_saved_images_are_those_of_torchvision(torch, torchvision, tmp_path):
    x = np.random.default_rng(0).normal(0.5, 0.5, (5, 3, 4, 6)).astype(np.float32)
    utils.save_image(new(x), tmp_path / "own.png", nrow=2)
    torchvision.utils.save_image(torch.from_numpy(x), tmp_path / "theirs.png", nrow=2)
    own, theirs = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("own", "theirs"))
    np.testing.assert_array_equal(own, theirs)
    assert_same(io.read_image(tmp_path / "own.png"), torchvision.io.read_image(str(tmp_path / "own.png")))


def test_boxes_are_drawn_where_torchvision_draws_them(torch, torchvision):
    x, boxes = tensor(3, 40, 50, np.uint8), np.array([[3, 4, 20, 30], [10, 2, 45, 12]])
    for colors, fill, width in (("red", False, 1), ([(0, 255, 0), "#0000ff"], True, 2)):
        options = {"colors": colors, "fill": fill, "width": width}
        found = utils.draw_bounding_boxes(new(x), new(boxes), **options)
        expected = torchvision.utils.draw_bounding_boxes(torch.from_numpy(x), torch.from_numpy(boxes), **options)
        assert_same(found, expected)


# ---- data sets -------------------------------------------------------------------------------------------------------
def test_folders_are_read_as_torchvision_does(torch, torchvision, tmp_path):
    for number, path in enumerate(["b/1.png", "b/x/0.JPG", "a/2.bmp", "a/not.txt"]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("txt"):
            (tmp_path / path).write_text("no image")
        else:
            pillow(seed=number).save(tmp_path / path, format="JPEG" if path.endswith("JPG") else None)
    own, theirs = datasets.ImageFolder(tmp_path), torchvision.datasets.ImageFolder(tmp_path)
    assert own.samples == theirs.samples == own.imgs
    assert (own.classes, own.class_to_idx, own.targets) == (theirs.classes, theirs.class_to_idx, theirs.targets)
    assert repr(own) == repr(theirs)
    for one, other in zip(own, theirs, strict=True):
        assert_same(one[0], other[0])
        assert one[1] == other[1]
    (tmp_path / "c").mkdir()
    for library in (datasets, torchvision.datasets):
        with pytest.raises(
            FileNotFoundError, match=r"no valid file for the classes c\. Supported extensions are: .jpg"
        ):
            library.ImageFolder(tmp_path)
        assert library.ImageFolder(tmp_path, allow_empty=True).classes == ["a", "b", "c"]
        with pytest.raises(FileNotFoundError, match="any class folder"):
            library.ImageFolder(tmp_path / "c")


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_are_read_as_torchvision_does(torch, torchvision, tmp_path, monkeypatch, name):
    import struct

    monkeypatch.delenv("FASTNN_DATA", raising=False)
    folder = tmp_path / name / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        arrays = {
            "images-idx3": rng.integers(0, 256, (7, 28, 28), np.uint8),
            "labels-idx1": np.arange(7, dtype=np.uint8),
        }
        for what, array in arrays.items():
            header = struct.pack(f">I{array.ndim}I", 8 << 8 | array.ndim, *array.shape)
            (folder / f"{split}-{what}-ubyte").write_bytes(header + array.tobytes())
    for train in (True, False):
        own = getattr(datasets, name)(tmp_path, train)
        theirs = getattr(torchvision.datasets, name)(tmp_path, train)
        assert_same(own.data, theirs.data)
        assert_same(own.targets, theirs.targets)
        assert (own.classes, own.class_to_idx, len(own)) == (theirs.classes, theirs.class_to_idx, len(theirs))
        assert repr(own) == repr(theirs)
        assert_same(own[3][0], theirs[3][0])
        assert own[3][1] == theirs[3][1]
        assert type(own[3][1]) is int


def test_cifar_is_read_as_torchvision_does(torch, torchvision, tmp_path, monkeypatch):
    import os

    if not os.path.isdir(os.path.join(os.environ.get("FASTNN_DATA", ""), "cifar-10-batches-py")):
        pytest.skip("FASTNN_DATA is not set")
    root = os.environ["FASTNN_DATA"]
    theirs_class = torchvision.datasets.CIFAR10
    monkeypatch.setattr(theirs_class, "_check_integrity", lambda self: True)
    monkeypatch.setattr(theirs_class, "_load_meta", lambda self: None)
    own, theirs = datasets.CIFAR10(root, train=False), theirs_class(root, train=False)
    np.testing.assert_array_equal(own.data, theirs.data)
    assert own.targets == theirs.targets
    assert own[7][1] == theirs[7][1]
    assert_same(own[7][0], theirs[7][0])


def test_names_of_cifar100_are_those_of_torchvisions_file(tmp_path):
    names = datasets.cifar._cifar100.NAMES
    assert len(set(names)) == 100
    assert list(names) == sorted(names)


def test_transforms_can_be_pickled():
    whole = transforms.Compose([transforms.RandomCrop(8, 2), transforms.ToTensor(), transforms.RandomErasing()])
    assert repr(pickle.loads(pickle.dumps(whole))) == repr(whole)


# ---- models ----------------------------------------------------------------------------------------------------------
MODELS = [name for name in models.__all__ if name.islower() and callable(getattr(models, name))]


@pytest.mark.parametrize("name", MODELS)
def test_models_have_the_keys_and_shapes_of_torchvision(torch, torchvision, monkeypatch, name):
    from fastnn.compat.torch import nn

    for layer in (nn.Linear, nn.Conv2d):  # which take their time for 100 M random numbers
        monkeypatch.setattr(layer, "reset_parameters", lambda self: None)
    for function in ("kaiming_normal_", "normal_"):
        monkeypatch.setattr(nn.init, function, lambda weight, *_, **__: weight)
    own = getattr(models, name)()
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
    found, expected = own.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    assert [tuple(value.shape) for value in found.values()] == [tuple(value.shape) for value in expected.values()]
    assert list(dict(own.named_children())) == list(dict(theirs.named_children()))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("resnet18", {"zero_init_residual": True}),
        ("resnet50", {"replace_stride_with_dilation": [False, True, True]}),
        ("resnext50_32x4d", {}),
        ("vgg11_bn", {}),
        ("alexnet", {}),
        ("squeezenet1_0", {}),
        ("squeezenet1_1", {}),
        ("mobilenet_v2", {"width_mult": 0.6}),
        ("densenet121", {}),
    ],
)
def test_models_compute_what_those_of_torchvision_do(torch, torchvision, name, options):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=7, **options).eval()
    own = getattr(models, name)(num_classes=7, **options).eval()
    own.load_state_dict({key: new(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    found = own(new(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2", "densenet121", "alexnet"])
def test_models_begin_with_weights_of_the_same_spread(torch, torchvision, name):
    own, theirs = getattr(models, name)(), getattr(torchvision.models, name)()
    for (key, found), expected in zip(own.named_parameters(), theirs.parameters(), strict=True):
        a, b = found.detach().numpy(), expected.detach().numpy()
        if a.size > 2000:
            np.testing.assert_allclose(a.std(), b.std(), rtol=0.15, err_msg=key)
        elif b.std() == 0:
            np.testing.assert_array_equal(a, b, err_msg=key)


def test_weights_have_the_names_and_files_of_torchvision(torchvision):
    compared = 0
    for name in models.__all__:
        if name.endswith("_Weights"):
            own, theirs = getattr(models, name), getattr(torchvision.models, name)
            for member in own.__members__:
                assert own[member].url == theirs[member].url
                own_size = own[member].transforms().transforms[0].size
                assert theirs[member].transforms().resize_size == [own_size]
                compared += 1
    assert compared > 40
