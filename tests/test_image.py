"""read_image: what becomes of each kind of image, and which files are refused."""

import os
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn import data

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def photo(h=20, w=30, seed=0):
    """Smooth colours, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return np.asarray(small.resize((w, h), Image.Resampling.BICUBIC))


def saved(path, pixels, **settings):
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **settings)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp"])
def test_read_image_gives_the_pixels_of_lossless_files(suffix, tmp_path):
    pixels = photo()
    path = saved(tmp_path / f"a.{suffix}", pixels, **({"lossless": True} if suffix == "webp" else {}))
    image = data.read_image(path)
    assert (image.dtype, image.shape, image.flags.c_contiguous) == (np.uint8, (3, 20, 30), True)
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(data.read_image(str(path)), image)


def test_read_image_knows_a_file_by_its_content(tmp_path):
    path = saved(tmp_path / "a.png", photo())
    np.testing.assert_array_equal(data.read_image(path.rename(tmp_path / "a.jpg")), photo().transpose(2, 0, 1))


def test_read_image_jpeg_is_nearly_the_original(tmp_path):
    image = data.read_image(saved(tmp_path / "a.jpg", photo(), quality=95))
    assert abs(image.astype(int) - photo().transpose(2, 0, 1)).mean() < 4


def test_read_image_grey_and_colour(tmp_path):
    pixels = photo()
    colour = saved(tmp_path / "colour.png", pixels)
    grey = data.read_image(colour, channels=1)
    assert grey.shape == (1, 20, 30)
    expected = pixels @ [0.299, 0.587, 0.114]
    assert abs(grey[0] - expected).max() <= 1
    path = saved(tmp_path / "grey.png", grey[0])
    np.testing.assert_array_equal(data.read_image(path, channels=1), grey)
    np.testing.assert_array_equal(data.read_image(path), np.repeat(grey, 3, axis=0))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_read_image_shows_white_through_transparency(mode, tmp_path):
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 0))  # black and invisible
    image.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "P":
        image = Image.new("P", (3, 1), 0)
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.putpixel((1, 0), 1)
        path = saved(tmp_path / "a.png", image, transparency=0)
    else:
        image = image.convert("LA" if mode == "PA" else mode)
        path = saved(tmp_path / "a.tif" if mode != "PA" else tmp_path / "a.png", image)
    for channels in (1, 3):
        pixels = data.read_image(path, channels=channels)
        np.testing.assert_array_equal(pixels, np.broadcast_to(np.uint8([255, 0, 255]), (channels, 1, 3)))


def test_read_image_half_transparent_red_is_pink(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGBA", (2, 2), (255, 0, 0, 128)))
    np.testing.assert_array_equal(data.read_image(path)[:, 0, 0], [255, 127, 127])


def test_read_image_transparent_colour_of_a_png_is_white(tmp_path):
    image = Image.fromarray(np.uint8([[[1, 2, 3], [4, 5, 6]]]))
    path = saved(tmp_path / "a.png", image, transparency=(1, 2, 3))
    np.testing.assert_array_equal(data.read_image(path)[:, 0].T, [[255, 255, 255], [4, 5, 6]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_image_keeps_the_upper_bits_of_sixteen(suffix, tmp_path):
    values = np.uint16([[0, 255, 256, 0x1234, 0xFFFF]])
    path = saved(tmp_path / f"a.{suffix}", values)
    np.testing.assert_array_equal(data.read_image(path, channels=1)[0], [[0, 0, 1, 0x12, 255]])
    np.testing.assert_array_equal(data.read_image(path)[2], [[0, 0, 1, 0x12, 255]])


def test_read_image_bits_palettes_and_cmyk(tmp_path):
    bits = saved(tmp_path / "bits.png", Image.fromarray(np.uint8([[0, 255, 0]])).convert("1"))
    np.testing.assert_array_equal(data.read_image(bits, channels=1), [[[0, 255, 0]]])
    palette = saved(tmp_path / "palette.gif", Image.new("RGB", (2, 2), (10, 200, 30)).convert("P"))
    assert abs(data.read_image(palette)[:, 0, 0].astype(int) - [10, 200, 30]).max() < 30
    cmyk = saved(tmp_path / "cmyk.tif", Image.new("CMYK", (2, 2), (0, 255, 255, 0)))
    np.testing.assert_array_equal(data.read_image(cmyk)[:, 0, 0], [255, 0, 0])


def test_read_image_takes_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(data.read_image(path)[:, 0, 0], [255, 0, 0])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_read_image_turns_as_exif_says(orientation, turned, bits, tmp_path):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(pixels if bits == 8 else pixels.astype(np.uint16) << 8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", image, exif=exif)
    np.testing.assert_array_equal(data.read_image(path, channels=1)[0], np.rot90(pixels, turned))


# ---- sizes -----------------------------------------------------------------------------------------------------------
def stripes(h, w, axis):
    """The position along `axis`, as a grey value."""
    return np.indices((h, w))[axis].astype(np.uint8)


@pytest.mark.parametrize(("h", "w"), [(40, 60), (60, 40)])
def test_read_image_crop_covers_and_keeps_the_middle(h, w, tmp_path):
    for axis in (0, 1):
        image = data.read_image(saved(tmp_path / "a.png", stripes(h, w, axis)), (20, 20), channels=1)[0]
        # Twice as small: each pixel is the mean around two, of the 40 in the middle.
        begin = ((h, w)[axis] - 40) / 2
        expected = begin + 2 * np.arange(20) + 0.5
        profile = image.astype(float).mean(axis=1 - axis)
        assert abs(profile - expected)[1:-1].max() <= 1
        assert np.ptp(image, axis=1 - axis).max() <= 1


def test_read_image_crop_has_the_shape_of_the_size(tmp_path):
    path = saved(tmp_path / "a.png", stripes(40, 40, 0))
    rows = data.read_image(path, (10, 20), channels=1)[0].astype(float).mean(axis=1)
    assert abs(rows - (10.5 + 2 * np.arange(10)))[1:-1].max() <= 1
    columns = data.read_image(saved(path, stripes(40, 40, 1)), (20, 10), channels=1)[0].astype(float).mean(axis=0)
    assert abs(columns - (10.5 + 2 * np.arange(10)))[1:-1].max() <= 1


def test_read_image_squash_shows_all_of_both_sides(tmp_path):
    for axis in (0, 1):
        path = saved(tmp_path / "a.png", stripes(40, 80, axis))
        image = data.read_image(path, (20, 20), channels=1, resize="squash")[0]
        profile = image.astype(float).mean(axis=1 - axis)
        assert abs(profile - ((2, 4)[axis] * (np.arange(20) + 0.5) - 0.5))[1:-1].max() <= 1


@pytest.mark.parametrize(("h", "w", "rows", "columns"), [(20, 40, (5, 15), (0, 20)), (40, 20, (0, 20), (5, 15)),
                                                         (1, 400, (9, 10), (0, 20)),
                                                         (400, 1, (0, 20), (9, 10))])  # fmt: skip
def test_read_image_pad_shows_all_between_black(h, w, rows, columns, tmp_path):
    path = saved(tmp_path / "a.png", np.full((h, w), 200, np.uint8))
    expected = np.zeros((20, 20))
    expected[slice(*rows), slice(*columns)] = 200
    np.testing.assert_array_equal(data.read_image(path, 20, channels=1, resize="pad")[0], expected)
    np.testing.assert_array_equal(data.read_image(path, 20, resize="pad")[1], expected)


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_read_image_of_the_right_size_is_left_alone(resize, tmp_path):
    path = saved(tmp_path / "a.png", photo(20, 30))
    np.testing.assert_array_equal(data.read_image(path, (20, 30), resize=resize), photo(20, 30).transpose(2, 0, 1))
    assert data.read_image(path, (7, 5), resize=resize).shape == (3, 7, 5)
    assert data.read_image(path, 9, resize=resize).shape == (3, 9, 9)


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_read_image_takes_all_pixels_that_fall_into_one(resize, tmp_path):
    path = saved(tmp_path / "a.png", np.tile(np.uint8([0, 255]), (40, 20)))
    image = data.read_image(path, 20, channels=1, resize=resize)
    assert abs(image[:, :, 1:-1].astype(int) - 127).max() <= 1


def test_read_image_says_nothing_of_odd_metadata(tmp_path):
    path = saved(tmp_path / "a.jpg", photo(), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(path) as image:
        image.getexif()
    assert data.read_image(path).shape == (3, 20, 30)


def test_read_image_resizes_differ(tmp_path):
    path = saved(tmp_path / "a.png", photo(20, 50))
    images = [data.read_image(path, 16, resize=resize) for resize in ("crop", "squash", "pad")]
    assert len({image.tobytes() for image in images}) == 3
    np.testing.assert_array_equal(data.read_image(path, 16), images[0])


# ---- files that are refused ------------------------------------------------------------------------------------------
def test_read_image_refuses_what_is_no_raster_image(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args: pytest.fail("a program was started"))
    path = tmp_path / "0.png"
    for content in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", b"%PDF-1.4\n",
                    b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(data.DataError, match=r"0\.png: not an image of a known kind \(JPEG, ") as caught:
            data.read_image(path)
        assert caught.value.path == str(path)
        assert isinstance(caught.value, fastnn.FileError)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "tif"])
def test_read_image_refuses_truncated_files(suffix, tmp_path):
    path = saved(tmp_path / f"a.{suffix}", photo(64, 64))
    content = path.read_bytes()
    for part in (0.3, 0.6, 0.9):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(data.DataError, match=rf"^{path}: "):
            data.read_image(path)


def test_read_image_of_damaged_files_is_an_image_or_an_error(tmp_path, rng):
    for suffix in ("jpg", "png", "gif", "tif", "webp"):
        path = saved(tmp_path / f"a.{suffix}", photo(16, 16))
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = content.copy()
            damaged[rng.integers(0, len(content), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(damaged.tobytes())
            try:
                assert data.read_image(path, 8, max_pixels=10_000).shape == (3, 8, 8)
            except data.DataError as error:
                assert str(error).startswith(str(path))  # noqa: PT017


def test_read_image_checks_the_number_of_pixels_before_it_decodes(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", photo(20, 30))
    assert data.read_image(path, max_pixels=600).shape == (3, 20, 30)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(data.DataError, match=rf"^{path}: 30 x 20 are more than 599 pixels$"):
        data.read_image(path, max_pixels=599)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # of Pillow, which warns from here on
    with pytest.raises(data.DataError, match=r"a\.png: too many pixels"):
        data.read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # and raises from twice as many
    with pytest.raises(data.DataError, match=r"a\.png: too many pixels"):
        data.read_image(path)


def test_read_image_default_limit_stops_a_bomb(tmp_path):
    path = saved(tmp_path / "bomb.png", Image.new("1", (8192, 8193)))
    assert path.stat().st_size < 100_000
    with pytest.raises(data.DataError, match="8192 x 8193 are more than 67108864 pixels"):
        data.read_image(path)


def test_read_image_refuses_numbers_without_a_range(tmp_path):
    path = saved(tmp_path / "a.tif", np.float32([[0.5, 1]]))
    with pytest.raises(data.DataError, match="mode F: it is unknown which number is white"):
        data.read_image(path)


def test_read_image_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.read_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        data.read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(data.DataError, match=r"pipe\.png: not a regular file"):
        data.read_image(tmp_path / "pipe.png")


def test_read_image_leaves_the_filters_of_warnings_alone(tmp_path):
    path = saved(tmp_path / "a.png", photo())
    before = list(warnings.filters)
    data.read_image(path)
    assert warnings.filters == before


def test_read_image_without_pillow_says_what_to_install(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", photo())
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r'^read_image: Pillow is needed: pip install "fastnn\[image\]"$'):
        data.read_image(path)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"path": None}, TypeError), ({"path": 3}, TypeError), ({"path": ""}, ValueError),
        ({"path": "a\0b"}, ValueError),
        ({"size": 0}, ValueError), ({"size": (3, -1)}, ValueError), ({"size": (1, 2, 3)}, ValueError),
        ({"size": 2.5}, TypeError), ({"size": "32"}, TypeError), ({"size": (3, "a")}, TypeError),
        ({"size": 2**40}, ValueError), ({"channels": 2}, ValueError), ({"channels": None}, TypeError),
        ({"resize": "stretch"}, ValueError), ({"resize": None}, ValueError), ({"max_pixels": 0}, ValueError),
        ({"max_pixels": "many"}, TypeError),
    ],
)  # fmt: skip
def test_read_image_rejects_what_does_not_fit(change, error):
    with pytest.raises(error, match=rf"read_image: {next(iter(change))} must be.*Received"):
        data.read_image(**({"path": "a.png"} | change))
