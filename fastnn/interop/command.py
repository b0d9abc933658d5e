"""The command `fastnn export`: a network and its weights as a file for other programs."""

from __future__ import annotations

import argparse
import os

import fastnn
from fastnn import _user_network, training
from fastnn.interop.onnx import export_onnx
from fastnn.models.summary import bytes_text

__all__ = ["export_command"]


def export_command(arguments: argparse.Namespace) -> None:
    """Write the file, and say what is in it."""
    if min(arguments.input) < 1:
        raise ValueError(f"--input must be at least 1. Received: {arguments.input}")
    name = arguments.model
    fastnn.manual_seed(0)
    model = _user_network.network_of(name)
    if arguments.weights is not None:
        training.load_weights(arguments.weights, model)
    with _user_network.user_code(name):
        export_onnx(model, arguments.onnx, (1, *arguments.input), opset=arguments.opset)
    size = bytes_text(os.path.getsize(arguments.onnx))
    shape = ", ".join(["batch", *map(str, arguments.input)])
    weights = "new random weights" if arguments.weights is None else arguments.weights
    print(f"{arguments.onnx}: {name} with {weights}, input ({shape}), opset {arguments.opset}, {size}")
