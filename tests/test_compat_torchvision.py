"""torchvision of the layer: data sets, transforms, and whole batches of what is usual. Without torchvision."""

import builtins
import copy
import functools
import gzip
import hashlib
import http.server
import io as bytes_io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_cifar10 import python2_pickle

import fastnn.compat.torch as torch
from fastnn import _random
from fastnn.compat import torchvision
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.utils.data import DataLoader, Subset, random_split
from fastnn.compat.torchvision import _batches, _pipeline, datasets, models, transforms, utils
from fastnn.compat.torchvision.transforms import functional, v2
from fastnn.data import _cifar100, cifar10, mnist

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
N = 40


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)


def smooth(n, channels, size, seed=0):
    """Images (n, size, size, channels) that are no noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 6, 6, channels), np.uint8)
    images = [Image.fromarray(part.squeeze()).resize((size, size), Image.Resampling.BICUBIC) for part in small]
    return np.stack([np.asarray(image).reshape(size, size, channels) for image in images])


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """The folder of a CIFAR-10 of 40 images in each file."""
    monkeypatch.setattr(cifar10, "_RECORDS", N)
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate(["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]):
        pixels = smooth(N, 3, 32, number).transpose(0, 3, 1, 2).reshape(N, -1)
        (folder / name).write_bytes(python2_pickle(pixels, np.arange(N) * (number + 1) % 10))
    return tmp_path / "data"


@pytest.fixture
def digits(tmp_path):
    """The folder of an MNIST of 40 images."""
    folder = tmp_path / "digits" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        write_idx(folder, split, smooth(N, 1, 28)[..., 0], np.arange(N, dtype=np.uint8) % 10)
    return tmp_path / "digits"


def write_idx(folder, split, images, labels):
    for what, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">I{array.ndim}I", 8 << 8 | array.ndim, *array.shape)
        (folder / f"{split}-{what}-ubyte").write_bytes(header + array.tobytes())


def usual(*before, after=(), size=32):
    return transforms.Compose([*before, transforms.ToTensor(), transforms.Normalize(MEAN, STD), *after])


def batch_of(dataset, n=N):
    return next(iter(DataLoader(dataset, batch_size=n)))


# ---- data sets -------------------------------------------------------------------------------------------------------
def test_cifar10_has_what_scripts_use(cifar):
    train = datasets.CIFAR10(root=str(cifar), train=True, download=True)
    assert (len(train), train.data.shape, train.data.dtype) == (200, (200, 32, 32, 3), np.uint8)
    assert type(train.targets) is list
    assert train.targets[:3] == [0, 2, 4]
    assert train.classes[3] == "cat"
    assert train.class_to_idx["truck"] == 9
    image, label = train[1]
    assert (type(image), image.size, image.mode, label) == (Image.Image, (32, 32), "RGB", 2)
    np.testing.assert_array_equal(np.asarray(image), train.data[1])
    np.testing.assert_array_equal(np.asarray(image), smooth(N, 3, 32, 1)[1])


def test_transforms_of_images_and_targets_are_applied(cifar):
    train = datasets.CIFAR10(cifar, transform=lambda image: image.size, target_transform=lambda label: -label)
    assert train[2] == ((32, 32), -4)
    assert repr(train).splitlines()[:4] == [
        "Dataset CIFAR10", "    Number of datapoints: 200", f"    Root location: {cifar}", "    Split: Train",
    ]  # fmt: skip


def test_data_are_found_where_fastnn_data_says(cifar, monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match=r"cifar-10-batches-py.*download=True"):
        datasets.CIFAR10(tmp_path / "nowhere")
    monkeypatch.setenv("FASTNN_DATA", str(cifar))
    assert len(datasets.CIFAR10(tmp_path / "nowhere", download=True)) == 200


def test_a_damaged_file_is_a_runtime_error_with_its_name(cifar):
    (cifar / "cifar-10-batches-py" / "test_batch").write_bytes(b"no pickle" * 100)
    with pytest.raises(RuntimeError, match="test_batch"):
        datasets.CIFAR10(cifar, train=False)


def pickle_of_cifar100(pixels, labels):
    coarse = b"U\x0dcoarse_labels](" + b"K\x01" * len(labels) + b"e"
    return python2_pickle(pixels, labels, extra=coarse).replace(b"U\x06labels", b"U\x0bfine_labels")


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_cifar100_is_read_from_its_folder_or_archive(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(_cifar100, "_RECORDS", {"train": 30, "test": 10})
    contents = {}
    for name, n in (("train", 30), ("test", 10)):
        pixels = smooth(n, 3, 32).transpose(0, 3, 1, 2).reshape(n, -1)
        contents[name] = pickle_of_cifar100(pixels, np.arange(n) * 3)
    if kind == "folder":
        (tmp_path / "cifar-100-python").mkdir()
        for name, content in contents.items():
            (tmp_path / "cifar-100-python" / name).write_bytes(content)
    else:
        with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
            for name, content in contents.items():
                info = tarfile.TarInfo(f"cifar-100-python/{name}")
                info.size = len(content)
                archive.addfile(info, bytes_io.BytesIO(content))
    train, test = (datasets.CIFAR100(tmp_path, train=train) for train in (True, False))
    assert (len(train), len(test), train.targets[:3]) == (30, 10, [0, 3, 6])
    assert (train.classes[0], train.classes[99], len(train.classes)) == ("apple", "worm", 100)
    np.testing.assert_array_equal(train.data, smooth(30, 3, 32))


@pytest.mark.parametrize("labels", [[100] * 10, [-1] * 10, [1] * 9])
def test_cifar100_with_wrong_labels_is_refused(tmp_path, monkeypatch, labels):
    monkeypatch.setattr(_cifar100, "_RECORDS", {"train": 30, "test": 10})
    (tmp_path / "cifar-100-python").mkdir()
    content = pickle_of_cifar100(np.zeros((10, 3072), np.uint8), labels)
    (tmp_path / "cifar-100-python" / "test").write_bytes(content)
    with pytest.raises(RuntimeError, match="label"):
        datasets.CIFAR100(tmp_path, train=False)


def test_mnist_has_tensors(digits):
    train = datasets.MNIST(digits)
    assert (train.data.shape, train.data.dtype, train.targets.dtype) == ((N, 28, 28), torch.uint8, torch.int64)
    image, label = train[13]
    assert (image.size, image.mode, label, type(label)) == ((28, 28), "L", 3, int)
    assert train.classes[7] == "7 - seven"
    with pytest.warns(UserWarning, match="renamed targets"):
        assert train.train_labels is train.targets


def test_fashion_mnist_is_never_taken_from_the_files_of_mnist(digits, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(digits / "MNIST" / "raw"))
    assert len(datasets.MNIST("nowhere")) == N
    with pytest.raises(RuntimeError, match="FashionMNIST was not found"):
        datasets.FashionMNIST(digits)


def test_checksums_and_places_of_downloads():
    for origin in (mnist.Origin("", (), datasets.mnist._FASHION_MIRRORS, datasets.mnist._FASHION_SHA256),
                   mnist.Origin("", (), datasets.mnist._KMNIST_MIRRORS, datasets.mnist._KMNIST_SHA256)):  # fmt: skip
        assert set(origin.sha256) == set(mnist._SHA256)
        assert len(set(origin.sha256.values()) | set(mnist._SHA256.values())) == 8
        assert all(len(value) == 64 for value in origin.sha256.values())


def test_fake_data_are_always_the_same():
    one, other = datasets.FakeData(5, (3, 8, 9), 4), datasets.FakeData(5, (3, 8, 9), 4)
    assert [label for _, label in one] == [label for _, label in other]
    assert one[2][0] == other[2][0]
    assert one[2][0].size == (9, 8)
    assert one[2][0] != one[3][0]
    with pytest.raises(IndexError):
        one[5]


def test_a_folder_of_files_of_ones_own(tmp_path):
    for name in ("x/1.npy", "y/2.npy"):
        (tmp_path / name).parent.mkdir()
        np.save(tmp_path / name, np.full(2, int(name[2])))
    found = datasets.DatasetFolder(tmp_path, np.load, (".npy",))
    assert [(array.tolist(), label) for array, label in found] == [([1, 1], 0), ([2, 2], 1)]


def test_lacking_data_sets_say_what_to_do():
    with pytest.raises(AttributeError, match="read them by ImageFolder"):
        datasets.STL10  # noqa: B018
    with pytest.raises(AttributeError, match="FashionMNIST"):
        datasets.EMNIST  # noqa: B018


def test_without_pillow_tensors_work_and_images_say_what_is_missing(digits, cifar, monkeypatch):
    imports = builtins.__import__

    def refuse(name, *rest):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return imports(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    test = datasets.MNIST(digits, transform=transforms.ToTensor())
    assert test[3][0].shape == (1, 28, 28)
    train = datasets.CIFAR10(cifar, transform=usual(transforms.RandomCrop(32, 4), transforms.ColorJitter(0.1)))
    assert batch_of(train)[0].shape == (N, 3, 32, 32)
    for call in (lambda: datasets.MNIST(digits)[0], lambda: train[0], lambda: utils.save_image(test[3][0], "x.png")):
        with pytest.raises(ImportError, match=r'Pillow is needed: pip install "fastnn\[image\]"'):
            call()


@pytest.fixture
def served(tmp_path):
    """The address and the folder of a server."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_archives_are_fetched_and_unpacked(served, tmp_path):
    url, folder = served
    with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("set/numbers.txt")
        info.size = 3
        archive.addfile(info, bytes_io.BytesIO(b"123"))
    md5 = hashlib.md5((folder / "set.tar.gz").read_bytes()).hexdigest()
    files = datasets.utils
    files.download_and_extract_archive(f"{url}/set.tar.gz", tmp_path / "data", md5=md5)
    assert (tmp_path / "data" / "set" / "numbers.txt").read_text() == "123"
    assert files.check_integrity(tmp_path / "data" / "set.tar.gz", md5)
    assert files.list_dir(tmp_path / "data") == ["set"]
    assert files.list_files(tmp_path / "data", ".gz", prefix=True) == [str(tmp_path / "data" / "set.tar.gz")]
    (folder / "set.tar.gz").unlink()
    files.download_url(f"{url}/set.tar.gz", tmp_path / "data", md5=md5)  # it is there
    (folder / "other").write_bytes(b"other")
    with pytest.raises(RuntimeError, match="hash"):
        files.download_url(f"{url}/other", tmp_path / "data", md5=md5)


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_archives_do_not_write_outside_of_their_folder(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "in").mkdir()
    if name.startswith("/"):
        datasets.utils.extract_archive(tmp_path / "bad.tar", tmp_path / "in")
        assert (tmp_path / "in" / "outside").is_file()
    else:
        with pytest.raises(tarfile.FilterError):
            datasets.utils.extract_archive(tmp_path / "bad.tar", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_other_archives_are_unpacked(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    assert datasets.utils.extract_archive(tmp_path / "a.gz") == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"abc"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b/c.txt", "text")
    datasets.utils.extract_archive(str(tmp_path / "b.zip"), remove_finished=True)
    assert (tmp_path / "b" / "c.txt").read_text() == "text"
    assert not (tmp_path / "b.zip").exists()
    with pytest.raises(RuntimeError, match=r"must end with .*x\.rar"):
        datasets.utils.extract_archive("x.rar")


# ---- whole batches ---------------------------------------------------------------------------------------------------
KNOWN = {
    "nothing": [],
    "crop": [transforms.RandomCrop(32, padding=4)],
    "crop and flip": [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()],
    "flip and crop": [transforms.RandomHorizontalFlip(0.3), transforms.RandomCrop((32, 32), 4, padding_mode="reflect")],
    "four sides": [transforms.RandomCrop(32, padding=(2, 2, 2, 2))],
    "no padding": [transforms.RandomCrop(32)],
    "vertical": [transforms.RandomVerticalFlip()],
    "jitter": [transforms.ColorJitter(0.4, 0.3, 0.2, 0.1)],
    "jitter first": [transforms.ColorJitter(0.4), transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip()],
    "rotation": [transforms.RandomRotation(15), transforms.RandomHorizontalFlip()],
    "fill": [transforms.RandomRotation((0, 90), fill=(1, 2, 3))],
    "affine": [transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5)],
    "grey": [transforms.RandomGrayscale(0.2)],
    "white padding": [transforms.RandomCrop(32, 4, fill=255)],
    "uneven padding": [transforms.RandomCrop(32, (4, 2))],
    "nested": [transforms.Compose([transforms.Compose([transforms.RandomHorizontalFlip()])])],
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: Subset(s, range(N)), lambda s: random_split(s, [100, 100])[0]])
def test_the_usual_transforms_are_done_to_whole_batches(cifar, monkeypatch, name, wrap):
    train = datasets.CIFAR10(cifar, transform=usual(*KNOWN[name]))
    monkeypatch.setattr(datasets.CIFAR10, "_transformed", None)  # what an item needs
    x, y = batch_of(wrap(train))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((N, 3, 32, 32), torch.float32, (N,), torch.int64)


@pytest.mark.parametrize(
    ("steps", "shape"),
    [
        ([transforms.RandomCrop(28)], (3, 28, 28)),
        ([transforms.RandomCrop((24, 40), padding=(4, 0))], (3, 24, 40)),
        ([transforms.Resize(40), transforms.RandomCrop(36), transforms.RandomHorizontalFlip()], (3, 36, 36)),
        ([transforms.Resize((20, 24)), transforms.RandomCrop((20, 24), 2)], (3, 20, 24)),
        ([transforms.Pad(4), transforms.RandomCrop(32)], (3, 32, 32)),
        ([transforms.CenterCrop(24), transforms.ColorJitter(0.2), transforms.RandomRotation(5)], (3, 24, 24)),
        ([transforms.Grayscale()], (1, 32, 32)),
        ([transforms.Grayscale(3)], (3, 32, 32)),
    ],
)
def test_transforms_to_other_shapes_are_done_to_whole_batches(cifar, steps, shape):
    for package in (transforms, v2):
        of_package = [getattr(package, type(step).__name__) for step in steps]
        made = [kind.__new__(kind) for kind in of_package]
        for one, step in zip(made, steps, strict=True):
            for name, value in vars(step).items():
                setattr(one, name, value)
        whole = transforms.Compose([*made, transforms.ToTensor(), transforms.Normalize([0.5], [0.25])])
        train = datasets.CIFAR10(cifar, transform=whole)
        assert _pipeline.maker_of(train) is not None
        assert batch_of(train)[0].shape == (N, *shape)
        assert train[0][0].shape == shape


def test_a_script_gets_whole_batches_without_a_word(cifar):
    """In a process of its own, which has imported nothing else."""
    script = f"""
import fastnn.data.cifar10
fastnn.data.cifar10._RECORDS = {N}
from torchvision.datasets import CIFAR10
from torchvision import transforms as T
import torch
train = CIFAR10("data", transform=T.Compose([T.RandomCrop(32, padding=4), T.ToTensor(), T.Normalize([0.5], [0.5])]))
CIFAR10._transformed = None  # without which there are no items
for x, y in torch.utils.data.DataLoader(train, 100, shuffle=True, num_workers=2):
    print(tuple(x.shape), y.dtype)
"""
    (cifar.parent / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "run", "script.py"], capture_output=True, text=True, timeout=100,
        cwd=cifar.parent, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(100, 3, 32, 32) torch.int64"] * 2


UNKNOWN = {
    "a function": [lambda image: image],
    "lambda": [transforms.Lambda(lambda image: image)],
    "edges": [transforms.RandomCrop(32, 4, padding_mode="edge")],
    "bilinear": [transforms.RandomRotation(15, transforms.InterpolationMode.BILINEAR)],
    "center": [transforms.RandomRotation(15, center=(0, 0))],
    "expand": [transforms.RandomRotation(15, expand=True), transforms.Resize((32, 32))],
    "nearest": [transforms.Resize(16, transforms.InterpolationMode.NEAREST)],
    "too small": [transforms.RandomCrop(40, pad_if_needed=True)],
    "larger": [transforms.CenterCrop(40)],
    "augment": [transforms.RandAugment()],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_transforms_are_done_image_by_image(cifar, name):
    train = datasets.CIFAR10(cifar, transform=usual(*UNKNOWN[name]))
    assert _pipeline.maker_of(train) is None
    assert batch_of(train)[0].shape[:2] == (N, 3)


@pytest.mark.parametrize(
    "after",
    [
        [transforms.RandomCrop(32, 4)],  # its black would be the mean
        [transforms.Lambda(lambda x: x)],
        [transforms.Normalize(MEAN, STD)],
    ],
)
def test_other_transforms_of_tensors_are_done_image_by_image(cifar, after):
    assert _pipeline.maker_of(datasets.CIFAR10(cifar, transform=usual(after=after))) is None


@pytest.mark.parametrize("change", ["subclass", "target", "transform", "subclassed transform", "floats", "labels"])
def test_a_script_that_changes_items_gets_them(cifar, change):
    class Inverted(datasets.CIFAR10):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return -x, y

    class Louder(transforms.RandomHorizontalFlip):
        def forward(self, image):
            return image

    kind = Inverted if change == "subclass" else datasets.CIFAR10
    train = kind(cifar, transform=usual())
    if change == "target":
        train.target_transform = str
    if change == "transform":
        train.transform = None
    if change == "subclassed transform":
        train.transform = usual(Louder())
    if change == "floats":
        train.data = train.data / 255
    if change == "labels":
        train.targets = [float(label) for label in train.targets]
    assert _pipeline.maker_of(train) is None


def test_a_subclass_with_fewer_images_and_names_of_its_own_is_known(cifar):
    class LongTailed(datasets.CIFAR10):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.images, self.labels = self.data, self.targets
            self.data, self.targets = np.vstack([self.data[:5], self.data[50:60]]), self.targets[:5] + [7] * 10

        def names(self):
            return self.classes

    train = LongTailed(cifar, transform=usual())
    assert _pipeline.maker_of(train) is not None
    assert batch_of(train)[1].tolist() == [*train.targets[:5], *[7] * 10]


def test_changed_data_are_what_comes(cifar):
    train = datasets.CIFAR10(cifar, transform=usual())
    keep = np.array(train.targets) < 5
    train.data, train.targets = train.data[keep], np.array(train.targets)[keep].tolist()
    x, y = batch_of(train, len(train))
    assert len(x) == keep.sum()
    assert y.tolist() == train.targets
    np.testing.assert_allclose(x[3].numpy(), train[3][0].numpy(), atol=1e-5)


def test_batches_of_doubles_are_the_items(cifar):
    torch.set_default_dtype(torch.float64)
    try:
        train = datasets.CIFAR10(cifar, transform=usual(transforms.ColorJitter((2, 2))))
        x, _ = batch_of(train)
        assert x.dtype == torch.float64
        np.testing.assert_allclose(x.numpy(), np.stack([train[i][0].numpy() for i in range(N)]), atol=1e-12)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("statistics", [(MEAN, STD), ([0.5], [0.25]), None])
def test_batches_without_chance_are_the_items(cifar, statistics, version):
    if version == 1:
        steps = [transforms.ToTensor()] + ([] if statistics is None else [transforms.Normalize(*statistics)])
        train = datasets.CIFAR10(cifar, transform=transforms.Compose(steps))
    else:
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        steps += [] if statistics is None else [v2.Normalize(*statistics)]
        train = datasets.CIFAR10(cifar, transform=v2.Compose(steps))
    assert _pipeline.maker_of(train) is not None
    x, y = batch_of(train)
    np.testing.assert_allclose(x.numpy(), np.stack([train[i][0].numpy() for i in range(N)]), atol=2e-6)
    assert y.tolist() == train.targets[:N]


@pytest.mark.parametrize("first", [v2.ToImage(), v2.PILToTensor(), transforms.PILToTensor()])
def test_moves_of_bytes_in_version_2_are_done_to_whole_batches(cifar, first):
    moves = [v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(1.0), v2.CenterCrop(20)]
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    train = datasets.CIFAR10(cifar, transform=v2.Compose([first, *moves, *last]))
    assert _pipeline.maker_of(train) is not None
    assert batch_of(train)[0].shape == (N, 3, 20, 20)
    assert train[0][0].shape == (3, 20, 20)
    for others in ([first, v2.ColorJitter(0.2), *last], [first, v2.ToDtype(torch.float32)], [first], [first, *moves]):
        assert _pipeline.maker_of(datasets.CIFAR10(cifar, transform=v2.Compose(others))) is None
    train.transform = v2.Compose([first, *moves[2:], *last])
    np.testing.assert_allclose(batch_of(train)[0].numpy(), np.stack([train[i][0].numpy() for i in range(N)]), atol=2e-6)


@pytest.mark.parametrize(
    "indices", [torch.tensor([5, 3, 3]), [torch.tensor(5), torch.tensor(3), 3], np.array([5, 3, 3])]
)
def test_subsets_of_tensors_of_indices(cifar, indices):
    train = datasets.CIFAR10(cifar, transform=usual())
    x, y = batch_of(Subset(train, indices))
    assert y.tolist() == [train.targets[i] for i in (5, 3, 3)]
    np.testing.assert_allclose(x[0].numpy(), train[5][0].numpy(), atol=2e-6)


def test_batches_of_digits_are_the_items(digits):
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    train = datasets.MNIST(digits, transform=transforms.Compose(steps))
    x, y = batch_of(train)
    np.testing.assert_allclose(x.numpy(), np.stack([train[i][0].numpy() for i in range(N)]), atol=2e-6)
    assert y.tolist() == train.targets.tolist()
    assert x.view(N, -1).shape == (N, 784)


def test_crops_and_flips_of_batches_are_among_those_of_items(cifar):
    train = datasets.CIFAR10(cifar, transform=transforms.Compose(KNOWN["crop and flip"] + [transforms.ToTensor()]))
    wide = np.pad(train.data[0], ((4, 4), (4, 4), (0, 0))).transpose(2, 0, 1) / 255
    windows = np.lib.stride_tricks.sliding_window_view(wide, (32, 32), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    possible = np.concatenate([windows.reshape(-1, 3, 32, 32), windows[..., ::-1].reshape(-1, 3, 32, 32)])
    maker = _pipeline.maker_of(train)
    x, _ = maker(np.zeros(4000, np.int64), np.random.default_rng(0))
    corners = {array[:, 12:20, 12:20].astype(np.float32).round(4).tobytes(): i for i, array in enumerate(possible)}
    found = np.bincount([corners[image[:, 12:20, 12:20].round(4).tobytes()] for image in x.numpy()], minlength=162)
    assert found.min() > 4000 / 162 - 5 * np.sqrt(4000 / 162)
    assert found.max() < 4000 / 162 + 5 * np.sqrt(4000 / 162)


# ---- each step of bytes is Pillow's ----------------------------------------------------------------------------------
def floats(images):
    return images.transpose(0, 3, 1, 2).astype(np.float32)


def by_pillow(images, function):
    changed = [function(Image.fromarray(image.squeeze()), number) for number, image in enumerate(images)]
    return np.stack([np.asarray(image).reshape(image.height, image.width, -1) for image in changed])


@pytest.mark.parametrize(
    ("name", "channels"),
    [("brightness", 1), ("brightness", 3), ("contrast", 1), ("contrast", 3), ("saturation", 3), ("hue", 3)],
)
def test_colours_change_as_pillow_does_it(name, channels):
    images = smooth(20, channels, 16)
    factors = np.random.default_rng(1).uniform(-0.5, 0.5, 20) if name == "hue" else np.linspace(0, 2.4, 20)
    adjust = getattr(functional, f"adjust_{name}")
    expected = by_pillow(images, lambda image, i: adjust(image, factors[i]))
    found = getattr(_batches, name)(floats(images), factors)
    np.testing.assert_array_equal(found, floats(expected))


def test_jitter_has_an_order_for_each_image():
    images = smooth(24, 3, 16)
    jitter = transforms.ColorJitter(0.5, 0.5, 0.5, 0.2)
    step = _batches.Jitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(np.arange(4), (24, 1)), axis=1)
    factors = [rng.uniform(*pair, 24) for pair in step.intervals]
    adjust = [functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation,
              functional.adjust_hue]  # fmt: skip

    def one(image, number):
        for place in orders[number]:
            image = adjust[place](image, factors[place][number])
        return image

    np.testing.assert_array_equal(step.changed(floats(images), orders, factors), floats(by_pillow(images, one)))


def test_grey_images_of_a_batch_are_pillows():
    images = smooth(10, 3, 16)
    expected = by_pillow(images, lambda image, _: functional.rgb_to_grayscale(image, 3))
    np.testing.assert_array_equal(_batches.Grey(1.0)(floats(images), np.random.default_rng(0)), floats(expected))


@pytest.mark.parametrize(
    "step",
    [
        transforms.Resize(32),
        transforms.Resize(17),
        transforms.Resize((9, 28)),
        transforms.Resize((28, 50)),
        transforms.Resize((40, 11), transforms.InterpolationMode.BICUBIC),
        transforms.Resize(30, max_size=31),
        transforms.CenterCrop(21),
        transforms.CenterCrop((14, 27)),
        transforms.Pad(2),
        transforms.Pad((1, 2, 3, 4), fill=7),
        transforms.Grayscale(),
        transforms.Grayscale(3),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_shapes_of_a_batch_are_pillows(step, channels):
    images = smooth(5, channels, 28)
    images[0, ::2] = 255 - images[0, ::2]
    change = _pipeline._ON_BYTES[type(step)](step, (channels, 28, 28))
    found = change(floats(images), np.random.default_rng(0))
    expected = floats(by_pillow(images, lambda image, _: step(image)))
    np.testing.assert_array_equal(found, expected)
    assert change.new_shape((channels, 28, 28)) == expected.shape[1:]


def test_random_crops_of_a_batch_are_windows_of_the_padded_images():
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4).repeat(3000, axis=0)
    y = _batches.Crop((2, 3), (1, 0, 0, 1), (50,))(x, np.random.default_rng(0))
    whole = np.pad(x[0, 0], ((0, 1), (1, 0)), constant_values=50)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (2, 3)).reshape(-1, 6).tolist()
    found = [windows.index(window) for window in y.reshape(-1, 6).tolist()]
    counts = np.bincount(found, minlength=9)
    assert counts.min() > 3000 / 9 - 5 * np.sqrt(3000 / 9)
    assert counts.max() < 3000 / 9 + 5 * np.sqrt(3000 / 9)


@pytest.mark.parametrize("fill", [0, (10, 20, 30)])
@pytest.mark.parametrize("size", [16, 15])
def test_rotations_of_a_batch_are_pillows(fill, size):
    images = smooth(40, 3, size)
    degrees = np.concatenate([np.random.default_rng(0).uniform(-180, 180, 36), [0, 90, 180, 270]])
    expected = by_pillow(images, lambda image, i: functional.rotate(image, float(degrees[i]), fill=fill))
    found = _batches.Rotation((0, 0), _batches.colour(fill, 3)).turned(floats(images), degrees)
    np.testing.assert_array_equal(found, floats(expected))


def test_affine_maps_of_a_batch_are_pillows():
    images = smooth(60, 1, 28)
    affine = transforms.RandomAffine(20, (0.2, 0.2), (0.7, 1.3), (-10, 10, -5, 5))
    ranges = (affine.degrees, affine.translate, affine.scale, affine.shear)
    drawn = [transforms.RandomAffine.get_params(*ranges, [28, 28]) for _ in range(50)]
    drawn += [(0.0, (dx, -2), 1.0, (0.0, 0.0)) for dx in range(10)]
    expected = by_pillow(images, lambda image, i: functional.affine(image, *drawn[i], fill=9))
    np.testing.assert_array_equal(_batches.Affine(*ranges, (9,)).mapped(floats(images), drawn), floats(expected))


def test_rectangles_of_a_batch_are_drawn_as_for_one_image():
    x = np.ones((4000, 2, 20, 24), np.float32)
    arguments = (0.6, (0.05, 0.3), (0.3, 3.3))
    y = _batches.Erasing(*arguments, (0.5, -1.0))(x.copy(), np.random.default_rng(0))
    assert set(np.unique(y[:, 0])) == {0.5, 1.0}
    assert set(np.unique(y[:, 1])) == {-1.0, 1.0}
    one = transforms.RandomErasing(*arguments, (0.5, -1.0))
    z = np.stack([one(new(image.copy())).numpy() for image in x])
    for batch in (y, z):
        holes = batch[:, 0] != 1
        assert (holes == (batch[:, 1] != 1)).all()
        filled = holes.any(axis=2).sum(axis=1) * holes.any(axis=1).sum(axis=1)
        np.testing.assert_array_equal(filled, holes.sum(axis=(1, 2)))  # rectangles
    holes = [(batch[:, 0] != 1) for batch in (y, z)]
    covered = [part.any(axis=(1, 2)).mean() for part in holes]
    assert abs(covered[0] - 0.6) < 0.04
    assert abs(covered[1] - 0.6) < 0.04
    means = [part.mean(axis=0) for part in holes]  # how often each pixel is covered
    np.testing.assert_allclose(means[0], means[1], atol=5 * np.sqrt(2 * 0.11 * 0.89 / 4000))
    areas = [np.sort(part.sum(axis=(1, 2))[part.any(axis=(1, 2))]) for part in holes]
    for quantile in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(*(np.quantile(area, quantile) for area in areas), rtol=0.08)


def test_random_covers_are_noise():
    y = _batches.Erasing(1.0, (0.3, 0.3), (1, 1), "random")(
        np.full((50, 1, 20, 20), 9, np.float32), _random.generator()
    )
    noise = y[y != 9]
    assert noise.size == 50 * 11 * 11
    assert abs(noise.mean()) < 0.06
    assert abs(noise.std() - 1) < 0.05


def test_vertical_flips_of_a_batch():
    x = np.arange(1000 * 4, dtype=np.float32).reshape(1000, 1, 4, 1)
    y = _batches.VerticalFlip(0.25)(x.copy(), np.random.default_rng(0))
    flipped = (y == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((y == x).all(axis=(1, 2, 3)) ^ flipped).all()
    assert abs(flipped.mean() - 0.25) < 0.06


# ---- transforms ------------------------------------------------------------------------------------------------------
def test_draws_are_those_of_the_seed_and_in_loaders_of_the_batch(cifar):
    train = datasets.CIFAR10(cifar, transform=usual(transforms.RandAugment(), transforms.RandomCrop(32, 4)))

    def run(workers):
        torch.manual_seed(7)
        return np.concatenate(
            [x.numpy() for x, _ in DataLoader(train, batch_size=16, shuffle=True, num_workers=workers)]
        )

    expected = run(0)
    np.testing.assert_array_equal(run(0), expected)
    np.testing.assert_array_equal(run(2), expected)


@pytest.mark.parametrize("kind", [transforms.AutoAugment, transforms.RandAugment, transforms.TrivialAugmentWide])
def test_learned_and_random_sequences_change_images_and_keep_their_form(kind):
    image = Image.fromarray(smooth(1, 3, 32)[0])
    changed = [np.asarray(kind()(image)) for _ in range(60)]
    assert {array.shape for array in changed} == {(32, 32, 3)}
    assert len({array.tobytes() for array in changed}) > 20


def test_chosen_transforms():
    double, triple = transforms.Lambda(lambda x: 2 * x), transforms.Lambda(lambda x: x + 3)
    assert transforms.Compose([double, triple])(1) == 5
    orders = {transforms.RandomOrder([double, triple])(1) for _ in range(50)}
    assert orders == {5, 8}
    assert {transforms.RandomChoice([double, triple])(1) for _ in range(50)} == {2, 4}
    assert {transforms.RandomChoice([double, triple], [0, 1])(1) for _ in range(50)} == {4}
    assert {transforms.RandomApply([double, triple], p=0.5)(1) for _ in range(50)} == {1, 5}
    found = [transforms.RandomApply([double], p=0.2)(1) == 2 for _ in range(2000)]
    assert abs(np.mean(found) - 0.2) < 0.04


def test_transforms_are_modules():
    x = torch.arange(6.0).reshape(1, 2, 3)
    flips = torch.nn.Sequential(transforms.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0))
    assert flips(x).tolist() == [[[5, 4, 3], [2, 1, 0]]]
    maybe = transforms.RandomApply(torch.nn.ModuleList([transforms.RandomInvert(1.0), transforms.CenterCrop(1)]), p=1.0)
    assert maybe(x).shape == (1, 1, 1)
    again = copy.deepcopy(pickle.loads(pickle.dumps(flips)))
    assert again(x).tolist() == flips(x).tolist()
    assert list(flips.parameters()) == []


def test_a_tensor_is_not_changed_by_a_transform():
    x = torch.rand(3, 8, 8)
    before = x.numpy().copy()
    for step in (transforms.Normalize(MEAN, STD), transforms.RandomErasing(1.0), transforms.ColorJitter(0.5, 0.5, 0.5),
                 transforms.RandomHorizontalFlip(1.0), transforms.RandomRotation(20)):  # fmt: skip
        step(x)
        np.testing.assert_array_equal(x.numpy(), before)
    transforms.Normalize(MEAN, STD, inplace=True)(x)
    assert (x.numpy() != before).any()


def test_v2_gives_images_of_a_sample_the_same_numbers():
    image = Image.fromarray(smooth(1, 3, 32)[0])
    step = v2.Compose([v2.RandomCrop(20), v2.RandomHorizontalFlip(), v2.RandomRotation(30)])
    for _ in range(10):
        one, other, label = step(image, image.copy(), 7)
        assert one == other
        assert label == 7


def test_v2_transform_of_ones_own():
    class Add(v2.Transform):
        def make_params(self, flat_inputs):
            return {"amount": len(flat_inputs)}

        def transform(self, inpt, params):
            return inpt + params["amount"]

    x, label = Add()(torch.zeros(1, 2, 2), 5)
    assert x.tolist() == [[[2, 2], [2, 2]]]
    assert label == 5


def test_mixing_in_a_collate_function(cifar):
    train = datasets.CIFAR10(cifar, transform=usual())
    mix = v2.RandomChoice([v2.CutMix(num_classes=10), v2.MixUp(num_classes=10)])

    def collate(items):
        return mix(*torch.utils.data.default_collate(items))

    for x, y in DataLoader(train, batch_size=16, collate_fn=collate):
        assert x.shape[1:] == (3, 32, 32)
        assert y.shape[1:] == (10,)
        np.testing.assert_allclose(y.numpy().sum(axis=1), 1, atol=1e-6)


def test_lacking_transforms_say_what_to_use():
    with pytest.raises(AttributeError, match="RandAugment or TrivialAugmentWide"):
        transforms.AugMix  # noqa: B018
    with pytest.raises(AttributeError, match="RandomResizedCrop"):
        transforms.RandomSizedCrop  # noqa: B018
    with pytest.raises(AttributeError, match="not transformed"):
        v2.SanitizeBoundingBoxes  # noqa: B018
    with pytest.raises(AttributeError, match="detecting objects"):
        torchvision.ops.nms  # noqa: B018


# ---- pictures --------------------------------------------------------------------------------------------------------
def test_a_grid_shows_images_in_rows():
    x = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 1, 2, 2) + 1
    grid = utils.make_grid(x, nrow=2, padding=1, pad_value=9)
    assert grid.shape == (3, 7, 7)
    assert grid[0].tolist() == [
        [9] * 7, [9, 1, 1, 9, 2, 2, 9], [9, 1, 1, 9, 2, 2, 9], [9] * 7, [9, 3, 3, 9, 9, 9, 9], [9, 3, 3, 9, 9, 9, 9],
        [9] * 7,
    ]  # fmt: skip


# ---- models ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet18", 11_689_512), ("resnet50", 25_557_032), ("mobilenet_v2", 3_504_872), ("squeezenet1_0", 1_248_424),
     ("densenet121", 7_978_856)],
)  # fmt: skip
def test_models_have_the_published_number_of_parameters(name, parameters):
    assert sum(p.numel() for p in getattr(models, name)().parameters()) == parameters


def test_a_last_layer_is_replaced_and_trained():
    model = models.resnet18(pretrained=False)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = torch.nn.Linear(model.fc.in_features, 3)
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    loss = torch.nn.functional.cross_entropy(model(torch.rand(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {"fc.weight", "fc.bias"} <= changed
    assert not any(key.endswith(("conv1.weight", "conv2.weight")) for key in changed)


@pytest.mark.parametrize("weights", ["DEFAULT", "SqueezeNet1_1_Weights.IMAGENET1K_V1", True])
def test_weights_are_read_from_the_file_that_was_fetched(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(RuntimeError, match=r"get https://.*/squeezenet1_1-b8a52dc0.pth and put it into .*checkpoints"):
        models.squeezenet1_1(weights=weights)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    trained = models.squeezenet1_1()
    torch.save(trained.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    found = models.squeezenet1_1(weights)
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in found.state_dict().items())


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"weights must be of IMAGENET1K_V1, DEFAULT\. Received: 'V9'"):
        models.resnet18(weights="V9")
    with pytest.raises(TypeError, match="Expected Weight class ResNet18_Weights but got VGG11_Weights"):
        models.resnet18(weights=models.VGG11_Weights.DEFAULT)
    with pytest.raises(ValueError, match="replace the last layer"):
        models.resnet18(weights=models.ResNet18_Weights.DEFAULT, num_classes=10)


def test_lacking_models_say_what_to_use():
    with pytest.raises(AttributeError, match="use resnet18"):
        models.vit_b_16  # noqa: B018


def test_normalize_refuses_statistics_of_more_channels_than_there_are():
    x = torch.zeros(1, 4, 4)
    for inplace in (False, True):
        with pytest.raises(RuntimeError, match=r"output with shape \[1, 4, 4\] doesn't match the broadcast shape"):
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), inplace)(x)
    assert transforms.Normalize((0.5,), (0.5,))(torch.zeros(3, 2, 2)).shape == (3, 2, 2)
