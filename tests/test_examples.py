"""The examples run as they are."""

import ast
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn import data, training

EXAMPLES = Path(__file__).parent.parent / "examples"


def save_pictures(folder, n, classes=("disc", "stripes"), seed=0):
    """JPEGs of two kinds of shapes, in sizes of their own, each in the folder of its class."""
    shapes = data.Shapes32(n, seed)
    rng = np.random.default_rng(seed)
    chosen = shapes.subset(np.isin(shapes.labels, [shapes.classes.index(name) for name in classes]))
    for index, (image, label) in enumerate(chosen):
        path = folder / shapes.classes[label] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = rng.integers(40, 90, 2).tolist()
        Image.fromarray(image.transpose(1, 2, 0)).resize((width, height)).save(path, quality=95)
    return chosen


@pytest.mark.slow
def test_own_images_are_trained_on_saved_loaded_and_one_picture_is_named(tmp_path, monkeypatch, capsys):
    script = EXAMPLES / "own_images.py"
    code = ast.unparse(ast.parse(script.read_text()).body[1:])  # without the docstring
    assert len(code.splitlines()) <= 25
    save_pictures(tmp_path / "pictures", 1500)
    monkeypatch.chdir(tmp_path)
    right = 0
    unseen = data.Shapes32(60, seed=5)
    (stripes, *_) = np.flatnonzero(unseen.labels == unseen.classes.index("stripes"))
    picture = Image.fromarray(unseen.images[stripes].transpose(1, 2, 0)).resize((64, 64))
    picture.save(tmp_path / "new.png")
    monkeypatch.setattr(sys, "argv", [str(script), "pictures", "new.png"])
    names = runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out == "new.png is a stripes\n"
    model = names["model"]
    for label, image in zip(unseen.labels, unseen.images, strict=True):
        name = unseen.classes[label]
        if name in ("disc", "stripes"):
            right += training.predict_classes(model, image) == [name]
    assert right >= 0.8 * np.isin(unseen.labels, [0, 7]).sum()


def test_predict_classes_reads_what_fit_and_load_kept(tmp_path):
    """The same pictures as files, as arrays and in a list; the network is chosen so that its answer is known."""
    from fastnn import load, nn, save

    class Brightest(nn.Module):
        """The class is the channel of the largest mean, of normalised images."""

        def forward(self, x):
            return x.mean(axis=(2, 3))

    # Without the normalisation red would be the brightest everywhere.
    preprocessing = data.Preprocessing((0.9, 0.2, 0.1), (0.1, 0.1, 0.1), (8, 8), 3, "crop", ("red", "green", "blue"))
    model = nn.Sequential(Brightest())
    model.preprocessing = preprocessing
    save(model, tmp_path / "w.safetensors")
    other = nn.Sequential(Brightest())
    with pytest.raises(ValueError, match="predict_classes: the model does not say how pictures are prepared"):
        training.predict_classes(other, np.zeros((3, 8, 8), np.uint8))
    load(tmp_path / "w.safetensors", other)
    assert other.preprocessing == preprocessing
    colours = np.array([(240, 60, 20), (200, 120, 20), (230, 40, 90)], np.uint8)
    pictures = np.broadcast_to(colours[:, :, None, None], (3, 3, 12, 12)).copy()
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    expected = ["red", "green", "blue"]
    for images in (paths, list(pictures), pictures, [Image.open(path) for path in paths]):
        assert training.predict_classes(other, images) == expected
    assert training.predict_classes(other, paths[1]) == ["green"]
    assert training.predict_classes(other, str(paths[2])) == ["blue"]
    names, probabilities = training.predict_classes(other, pictures, return_probabilities=True)
    assert names == expected
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 2]
    assert training.predict_classes(other, np.concatenate([pictures] * 90)) == expected * 90  # several batches
    assert training.predict_classes(other, []) == []
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        training.predict_classes(other, tmp_path / "nowhere.png")
    other.preprocessing = data.Preprocessing(size=(8, 8), classes=("a", "b"))
    with pytest.raises(ValueError, match="predict_classes: the model must give 2 scores for each picture"):
        training.predict_classes(other, pictures)


def test_predict_classes_is_in_eval_mode_and_gives_numbers_without_names():
    from fastnn import nn

    model = nn.Sequential(nn.Dropout(0.9), nn.Flatten(), nn.Linear(12, 4))
    model.preprocessing = data.Preprocessing()
    picture = np.random.default_rng(0).integers(0, 255, (3, 2, 2), np.uint8)
    answers = {training.predict_classes(model, picture)[0] for _ in range(20)}
    assert len(answers) == 1
    assert type(answers.pop()) is int
    assert model[0].training


def test_fit_keeps_the_preprocessing_with_the_model_and_its_files(tmp_path):
    import fastnn
    from fastnn import nn

    images = data.Shapes32(40)
    loader = data.Loader(images, batch_size=20, mean=images.mean, std=images.std)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    training.fit(model, loader, 1, out=tmp_path, progress=False)
    assert model.preprocessing == loader.preprocessing
    assert model.preprocessing.classes == images.classes
    assert model.preprocessing.mean == images.mean
    for name in ("weights", "last", "best"):
        other = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
        fastnn.load(tmp_path / f"{name}.safetensors", other)
        assert other.preprocessing == loader.preprocessing
        assert training.predict_classes(other, images.images[:5]) == training.predict_classes(model, images.images[:5])


def test_train_command_saves_when_it_is_told_to_end(tmp_path):
    command = [
        sys.executable, "-m", "fastnn", "train", "--dataset", "shapes32", "--train-images", "256",
        "--test-images", "64", "--epochs", "10000", "--out", str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("epoch 1/"):
                break
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert "interrupted after step" in said
    assert "--resume continues" in said
    assert training.load_state(tmp_path / "last.safetensors")["step"] >= 2


# ---- networks, losses and operations of one's own --------------------------------------------------------------------
def of_example(name, function="main"):
    """A function of an example, which is short."""
    script = EXAMPLES / f"{name}.py"
    assert len(script.read_text().splitlines()) < 60
    return runpy.run_path(str(script), run_name="example")[function]


@pytest.mark.slow
def test_branches_learn_the_shapes(capsys):
    losses, accuracy = of_example("branches")(n_images=4000, epochs=4)
    assert losses[-1] < 0.7 * losses[0]
    assert accuracy > 0.5
    assert capsys.readouterr().out.endswith(f"test accuracy: {accuracy:.1%}\n")


@pytest.mark.slow
def test_own_operation_is_right_and_separates_spirals(capsys):
    error, accuracy = of_example("own_operation")()
    assert error < 1e-9
    assert accuracy > 0.98
    assert "of new points are right" in capsys.readouterr().out


@pytest.mark.slow
def test_siamese_network_knows_pictures_again(capsys):
    losses, accuracy = of_example("siamese")(steps=200)
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) / 2
    assert accuracy > 0.9
    assert "of pairs of unseen pictures are told right" in capsys.readouterr().out


@pytest.mark.slow
def test_recurrent_network_remembers(capsys):
    losses, accuracy = of_example("recurrent")(steps=200)
    assert losses[-1] < losses[0] / 20
    assert accuracy > 0.99
    assert "of the symbols of new sequences are remembered" in capsys.readouterr().out


@pytest.mark.slow
def test_fooling_image_takes_few_grey_levels(capsys):
    changes = of_example("fooling_image")(n_images=4000, epochs=3)
    assert len(changes) == 10
    assert np.median(changes) < 16
    assert "grey levels away" in capsys.readouterr().out


@pytest.mark.slow
def test_two_losses_both_fall(capsys):
    history, accuracy = of_example("two_losses")(n_images=3000, epochs=4)
    assert history.shape == (4, 2)
    assert (history[-1] < 0.8 * history[0]).all()
    assert accuracy > 0.35
    assert "cross entropy" in capsys.readouterr().out


@pytest.mark.slow
def test_gan_draws_less_and_less_like_noise(capsys):
    roughnesses = of_example("gan")(steps=150)
    assert np.mean(roughnesses[-20:]) < 0.8 * roughnesses[0]
    assert "roughness of real pictures: 0.304" in capsys.readouterr().out


@pytest.mark.slow
def test_segmentation_finds_discs_and_boxes(capsys):
    right, right_of_shapes = of_example("segmentation")(steps=200)
    assert right > 0.92
    assert right_of_shapes > 0.7
    assert "of the pixels are right" in capsys.readouterr().out


@pytest.mark.slow
def test_vision_transformer_learns_a_few_pictures_by_heart():
    train = of_example("vision_transformer", "train")
    fastnn.manual_seed(0)
    history = train(data.Shapes32(128), data.Shapes32(100, train=False), epochs=40, progress=False)
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]


@pytest.mark.slow
@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="FASTNN_DATA is not set")
def test_vision_transformer_learns_cifar10():
    train = of_example("vision_transformer", "train")
    fastnn.manual_seed(0)
    history = train(data.CIFAR10(train=True), data.CIFAR10(train=False), epochs=0.2, progress=False)
    assert history["val_accuracy"][-1] > 0.27
