"""The command `fastnn export`."""

import os

import numpy as np
import pytest
from onnx_models import by_onnxruntime, difference, noise, of_fastnn

import fastnn
from fastnn import cli, models

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NET = "from fastnn import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))\n"


def run(*words):
    return cli.main([str(word) for word in words])


def test_export_writes_a_model_with_the_weights_of_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fastnn.manual_seed(8)
    model = models.keras_cnn()
    fastnn.save(model, "w.safetensors")
    assert run("export", "keras_cnn", "--weights", "w.safetensors", "--onnx", "net.onnx") == 0
    assert capsys.readouterr().out == (
        "net.onnx: keras_cnn with w.safetensors, input (batch, 3, 32, 32), opset 18, 8.7 MB\n"
    )
    x = noise((3, 3, 32, 32))
    assert difference(by_onnxruntime(tmp_path / "net.onnx", [x]), of_fastnn(model, [x])) < 1e-5


def test_export_takes_a_network_of_the_users_and_says_that_its_weights_are_random(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    assert run("export", "net.py:make", "--onnx", "net.onnx", "--input", 3, 2, 2, "--opset", 20) == 0
    size = (tmp_path / "net.onnx").stat().st_size
    assert 200 < size < 999
    assert capsys.readouterr().out == (
        f"net.onnx: net.py:make with new random weights, input (batch, 3, 2, 2), opset 20, {size} B\n"
    )
    (y,) = by_onnxruntime(tmp_path / "net.onnx", [np.zeros((2, 3, 2, 2), np.float32)])
    assert y.shape == (2, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing", "--onnx", "a.onnx"], "there is no model 'nothing'"),
        (["keras_cnn"], "--onnx"),
        (["keras_cnn", "--onnx", "a.onnx", "--input", 0, 3, 3], "--input must be at least 1"),
        (["keras_cnn", "--onnx", "a.onnx", "--opset", 3], "opset must be"),
        (["keras_cnn", "--onnx", "a.onnx", "--weights", "none.pth"], "none.pth"),
        (["keras_cnn", "--onnx", "folder/a.onnx"], "folder"),
        (["net.py:make", "--onnx", "a.onnx"], "write Linear(3072, 3)"),
    ],
)
def test_export_says_what_is_wrong(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    assert run("export", *words) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) in (["net.py"], ["net.py", "__pycache__"], ["__pycache__", "net.py"])
