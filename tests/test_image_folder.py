"""ImageFolder: which files are images of which class, what is said about broken ones, and its statistics."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn import data


def put(path, value=0, size=(8, 8)):
    """A grey image of one value at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)
    return path


@pytest.fixture
def pets(tmp_path):
    """Five images of three classes in an order that a file system need not keep; each has a value of its own."""
    root = tmp_path / "pets"
    for value, name in enumerate(["dog/b.png", "cat/2.png", "dog/a.bmp", "ant/x.png", "cat/10.JPG"]):
        put(root / name, 10 * value, size=(8 + value, 9))
    return root


def test_image_folder_reads_classes_and_files_in_order(pets):
    images = data.ImageFolder(pets, size=(6, 5))
    assert images.classes == ("ant", "cat", "dog")
    assert [os.path.relpath(file, pets) for file in images.files] == [
        "ant/x.png", "cat/10.JPG", "cat/2.png", "dog/a.bmp", "dog/b.png"]  # fmt: skip
    assert images.labels.tolist() == [0, 1, 1, 2, 2]
    assert images.images[:, 1, 3, 2].tolist() == [30, 40, 10, 20, 0]
    assert (images.images.shape, images.images.dtype, images.labels.dtype) == ((5, 3, 6, 5), np.uint8, np.int64)
    assert isinstance(images, data.Dataset)


def test_image_folder_order_does_not_depend_on_the_file_system(pets, monkeypatch):
    expected = data.ImageFolder(pets, 4)
    walk = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *args, **kwargs: ((p, d[::-1], f[::-1]) for p, d, f in walk(*args, **kwargs))
    )
    listed = type(pets).iterdir
    monkeypatch.setattr(type(pets), "iterdir", lambda self: reversed(list(listed(self))))
    images = data.ImageFolder(str(pets), 4)
    assert (images.files, images.classes) == (expected.files, expected.classes)
    np.testing.assert_array_equal(images.images, expected.images)


def test_image_folder_reads_as_read_image_does(tmp_path, rng):
    for name in ("a/1.png", "b/2.jpg"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)).save(tmp_path / name)
    for channels in (1, 3):
        for resize in ("crop", "squash", "pad"):
            images = data.ImageFolder(tmp_path, (12, 10), channels=channels, resize=resize)
            expected = [data.read_image(file, (12, 10), channels, resize) for file in images.files]
            np.testing.assert_array_equal(images.images, expected)
            assert images.preprocessing == data.Preprocessing(
                images.mean, images.std, (12, 10), channels, resize, ("a", "b"))  # fmt: skip


def test_image_folder_crops_in_colour_by_default_and_knows_the_home_folder(tmp_path, monkeypatch, rng):
    (tmp_path / "a").mkdir()
    Image.fromarray(rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)).save(tmp_path / "a/1.png")
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    images = data.ImageFolder(f"~/{tmp_path.name}", 12)
    np.testing.assert_array_equal(images.images[0], data.read_image(tmp_path / "a/1.png", 12, 3, "crop"))
    np.testing.assert_array_equal(images.images[0], data.read_image(f"~/{tmp_path.name}/a/1.png", 12))
    assert (images.preprocessing.resize, images.preprocessing.channels) == ("crop", 3)


def test_image_folder_takes_nested_files_and_leaves_hidden_and_other_ones(tmp_path):
    put(tmp_path / "a/deep/er/z.png")
    put(tmp_path / "a/m.png")
    put(tmp_path / "b/2.png")
    for hidden in ("a/.1.png", "a/.hidden/2.png", ".ipynb_checkpoints/3.png"):
        put(tmp_path / hidden)
    (tmp_path / "a/notes.txt").write_text("no image")
    (tmp_path / "readme.md").write_text("no class")
    (tmp_path / "a/deep/up").symlink_to(tmp_path / "a")  # a circle
    images = data.ImageFolder(tmp_path, 4)
    assert [os.path.relpath(file, tmp_path) for file in images.files] == ["a/deep/er/z.png", "a/m.png", "b/2.png"]
    assert images.classes == ("a", "b")


def test_image_folder_follows_links(tmp_path):
    put(tmp_path / "store/1.png", 7)
    put(tmp_path / "set/b/2.png", 9)
    (tmp_path / "set/a").symlink_to(tmp_path / "store")
    (tmp_path / "set/b/more").symlink_to(tmp_path / "store")
    assert data.ImageFolder(tmp_path / "set", 4).images[:, 0, 0, 0].tolist() == [7, 9, 7]


def test_image_folder_without_size_takes_images_of_one_size(tmp_path):
    put(tmp_path / "a/1.png", size=(7, 5))
    put(tmp_path / "b/1.png", size=(7, 5))
    assert data.ImageFolder(tmp_path).images.shape == (2, 3, 5, 7)
    put(tmp_path / "b/2.png", size=(7, 6))
    with pytest.raises(ValueError, match=r"size is needed.*a/1\.png is 5 x 7, .*b/2\.png 6 x 7 \(height x width\)"):
        data.ImageFolder(tmp_path)


# ---- what is missing or broken ---------------------------------------------------------------------------------------
def test_image_folder_names_all_broken_files(pets):
    broken = [pets / "cat/3.png", pets / "dog/0.png"]
    broken[0].write_bytes((pets / "cat/2.png").read_bytes()[:-20])
    broken[1].write_text("%!PS-Adobe-3.0 EPSF-3.0")
    (pets / "dog/gone.png").symlink_to(pets / "nowhere")
    with pytest.raises(data.DataError, match=r"3 of 8 files cannot be read; skip_broken=True") as caught:
        data.ImageFolder(pets, 4)
    for path in (*broken, pets / "dog/gone.png"):
        assert str(path) in str(caught.value)
    assert isinstance(caught.value, fastnn.FileError)


def test_image_folder_skips_broken_files_with_one_warning(pets):
    expected = data.ImageFolder(pets, 4)
    for name in ("ant/a.png", "cat/3.png", "dog/0.png"):
        (pets / name).write_text("no image")
    with pytest.warns(UserWarning, match=r"(?s)3 of 8 files cannot be read and are left out:\n.*cat/3\.png") as warned:
        images = data.ImageFolder(pets, 4, skip_broken=True)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert images.files == expected.files
    np.testing.assert_array_equal(images.images, expected.images)
    np.testing.assert_array_equal(images.labels, expected.labels)
    assert (images.mean, images.std) == (expected.mean, expected.std)


def test_image_folder_names_twenty_broken_files_at_most(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(23):
        (tmp_path / f"a/{number:02}.png").write_text("no image")
    for skip in (True, False):
        with pytest.raises(data.DataError, match=r"(?s)23 of 23 files.*19\.png.*and 3 more$") as caught:
            data.ImageFolder(tmp_path, 4, skip_broken=skip)
        assert "20.png" not in str(caught.value)


def test_image_folder_passes_on_the_limit_of_pixels(tmp_path):
    put(tmp_path / "a/1.png", size=(10, 10))
    put(tmp_path / "b/2.png", size=(10, 11))
    with pytest.raises(data.DataError, match=r"1 of 2 files.*\n.*2\.png: 10 x 11 are more than 100 pixels"):
        data.ImageFolder(tmp_path, 4, max_pixels=100)


def test_image_folder_shows_the_layout_that_it_needs(tmp_path):
    layout = r"Needed is a folder for each class: .*/<class>/<image>\.jpg"
    with pytest.raises(data.DataNotFoundError, match=rf"there is no folder .*{layout}"):
        data.ImageFolder(tmp_path / "none", 4)
    put(tmp_path / "1.png")
    with pytest.raises(data.DataNotFoundError, match=rf"there is no folder in .*{layout}"):
        data.ImageFolder(tmp_path, 4)
    put(tmp_path / "cat/1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/1.heic").write_text("of a kind that is not read")
    with pytest.raises(data.DataNotFoundError, match=rf"no image in [^ ]*/dog\. {layout}.*\.webp"):
        data.ImageFolder(tmp_path, 4)
    (tmp_path / "cat/1.png").unlink()
    with pytest.raises(data.DataNotFoundError, match=rf"there is no image\. {layout}"):
        data.ImageFolder(tmp_path, 4, classes=("cat", "dog"))


def test_image_folder_does_not_take_parts_for_classes(tmp_path):
    for part in ("train", "test"):
        put(tmp_path / part / "cat/1.png")
    with pytest.raises(data.DataNotFoundError, match=r"has the parts test, train, not classes; read each by itself"):
        data.ImageFolder(tmp_path, 4)
    assert data.ImageFolder(tmp_path / "train", 4).classes == ("cat",)


def test_image_folder_with_given_classes_keeps_their_labels(pets, tmp_path):
    put(tmp_path / "test/dog/1.png")
    put(tmp_path / "test/ant/1.png")
    train = data.ImageFolder(pets, 4)
    test = data.ImageFolder(tmp_path / "test", 4, classes=train.classes)
    assert (test.classes, test.labels.tolist()) == (train.classes, [0, 2])
    assert data.ImageFolder(pets, 4, classes=("dog", "cat", "ant")).labels.tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match=r"classes must name each folder .* not named: ant"):
        data.ImageFolder(pets, 4, classes=("cat", "dog"))
    with pytest.raises(ValueError, match="classes must name each folder"):
        data.ImageFolder(pets, 4, classes=("ant", "cat", "dog", "dog"))


def test_image_folder_without_pillow_says_what_to_install(pets, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r'ImageFolder: Pillow is needed: pip install "fastnn\[image\]"'):
        data.ImageFolder(pets, 4)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"path": None}, TypeError), ({"path": ""}, ValueError), ({"size": 0}, ValueError), ({"size": "a"}, TypeError),
        ({"channels": 4}, ValueError), ({"resize": 3}, ValueError), ({"classes": "ant"}, TypeError),
        ({"classes": [1, 2, 3]}, TypeError), ({"classes": 7}, TypeError), ({"skip_broken": "yes"}, TypeError),
        ({"max_pixels": -1}, ValueError),
    ],
)  # fmt: skip
def test_image_folder_rejects_what_does_not_fit(change, error, pets):
    with pytest.raises(error, match=rf"ImageFolder: {next(iter(change))} must be.*Received"):
        data.ImageFolder(**({"path": pets, "size": 4} | change))


# ---- what it knows ---------------------------------------------------------------------------------------------------
def test_image_folder_mean_and_std_are_of_each_channel(tmp_path, rng):
    (tmp_path / "a").mkdir()
    for number in range(5):
        pixels = rng.integers(0, (50, 150, 250), (9, 7, 3)).astype(np.uint8)
        pixels[:, :, 2] += 5
        Image.fromarray(pixels).save(tmp_path / f"a/{number}.png")
    images = data.ImageFolder(tmp_path)
    np.testing.assert_allclose(images.mean, images.images.mean(axis=(0, 2, 3)) / 255, rtol=1e-14)
    np.testing.assert_allclose(images.std, images.images.std(axis=(0, 2, 3)) / 255, rtol=1e-13)
    assert (images.preprocessing.mean, images.preprocessing.std) == (images.mean, images.std)
    ((x, _),) = data.Loader(images, mean=images.mean, std=images.std, dtype=np.float64)
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, rtol=1e-13)


def test_image_folder_counts_in_pieces(tmp_path, monkeypatch, rng):
    (tmp_path / "a").mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(tmp_path / f"a/{number}.png")
    whole = data.ImageFolder(tmp_path)
    monkeypatch.setattr("fastnn.data.image_folder._CHUNK", 2 * 48)  # two images, two, and one
    pieces = data.ImageFolder(tmp_path)
    assert (whole.mean, whole.std) == (pieces.mean, pieces.std)


def test_image_folder_of_one_colour_can_be_normalised(tmp_path):
    put(tmp_path / "a/1.png", 51)
    images = data.ImageFolder(tmp_path, channels=1)
    assert (images.mean, images.std) == ((0.2,), (1.0,))
    ((x, _),) = data.Loader(images, mean=images.mean, std=images.std)
    np.testing.assert_array_equal(x, 0)


def test_image_folder_subsets_keep_what_it_knows(pets):
    images = data.ImageFolder(pets, 4)
    for chosen in ([4, 0], slice(1, 4, 2), images.labels == 2, [-1]):
        part = images.subset(chosen)
        positions = np.arange(5)[chosen]
        assert isinstance(part, data.ImageFolder)
        assert part.files == tuple(images.files[position] for position in positions)
        np.testing.assert_array_equal(part.images, images.images[positions])
        assert part.labels.tolist() == images.labels[positions].tolist()
        assert (part.mean, part.std, part.classes, part.preprocessing) == (
            images.mean, images.std, images.classes, images.preprocessing)  # fmt: skip
    assert len(images) == len(images.files) == 5


def test_image_folder_splits(pets):
    train, validation = data.ImageFolder(pets, 4).split(0.5)
    assert train.labels.tolist() == [0, 1, 2]
    assert validation.labels.tolist() == [1, 2]
    assert not set(train.files) & set(validation.files)
    assert validation.classes == train.classes


def test_image_folder_reads_with_as_many_threads_as_allowed(pets, monkeypatch):
    from fastnn.data import image_folder

    asked = []

    class Pool(image_folder.ThreadPoolExecutor):
        def __init__(self, n_threads, *args):
            asked.append(n_threads)
            super().__init__(n_threads, *args)

    monkeypatch.setattr(image_folder, "ThreadPoolExecutor", Pool)
    for n in (1, 2, 40):
        fastnn.set_num_threads(n)
        data.ImageFolder(pets, 4)
    assert asked == [1, 2, 16]
