"""All modules are imported, and commands run, in one process of a pretended system."""

import importlib
import os
import pkgutil
import sys
from pathlib import Path

import fastnn
from fastnn import cli

SYSTEM = os.environ["PRETENDED_SYSTEM"]
assert sys.platform == SYSTEM
# PyTorch itself, or Pillow; scikit-learn, whose joblib takes more than a pretended Windows has.
_NEED_OTHERS = ("torch_twin", "compat.torchvision", "interop._sklearn", "interop.sklearn")
NETWORK = """
from fastnn import nn


def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 10))
"""


def succeed(*words):
    code = cli.main(words)
    assert code == 0, (words, code)


for module in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
    if not module.name.endswith("__main__") and not any(name in module.name for name in _NEED_OTHERS):
        importlib.import_module(module.name)
for command in cli._COMMANDS:
    succeed(command, "--help")
Path("net.py").write_text(NETWORK, encoding="utf-8")
succeed("info")
succeed("train", "--recipe", "list")
succeed("reproduce", "--list")
succeed("summary", "resnet20")
succeed("summary", "net.py:make", "--input", "3", "32", "32")
succeed("explain", "conv2d")
few = ["--train-images", "500", "--test-images", "50", "--dataset", "shapes32"]
succeed("train", *few, "--epochs", "2", "--out", "run")
for name in ("metrics.json", "history.csv", "history.json"):
    assert b"\r" not in (Path("run") / name).read_bytes(), name
assert {"curves.png", "weights.safetensors", "last.safetensors"} <= set(os.listdir("run"))
succeed("train", "--resume", "run")
succeed("profile", "net.py:make", "--rounds", "1", "--out", "profile")
assert {"profile.txt", "profile.csv", "roofline.png"} == set(os.listdir("profile"))
# A drive's colon is not the one before a name.
assert cli.main(["summary", r"C:\net.py"]) == 2
if SYSTEM == "win32":
    Path("spec.toml").write_text("", encoding="utf-8")
    assert cli.main(["grade", "net.py", "--spec", "pku"]) == 2
