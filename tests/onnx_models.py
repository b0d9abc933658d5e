"""Exported models, and what other programs make of them."""

import numpy as np

import fastnn
from fastnn.interop import export_onnx


def exported(model, folder, shape, **keywords):
    """The name of a file with the model in it."""
    path = folder / "model.onnx"
    export_onnx(model, path, shape, **keywords)
    return path


def by_onnxruntime(path, inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    names = [x.name for x in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def by_reference(path, inputs):
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(str(path))
    return session.run(None, dict(zip(session.input_names, inputs, strict=True)))


def of_fastnn(model, inputs):
    """What the model gives in evaluation mode, as a list of arrays."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with fastnn.no_grad():
            y = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    finally:
        for module, training in modes:
            module.training = training
    return flat(y)


def flat(y):
    if y is None:
        return []
    if isinstance(y, dict):
        y = list(y.values())
    if isinstance(y, tuple | list):
        return [array for part in y for array in flat(part)]
    return [np.asarray(y.data if isinstance(y, fastnn.Tensor) else y)]


def difference(found, wanted):
    """The largest one, relative to the largest number that is wanted."""
    assert len(found) == len(wanted)
    worst = 0.0
    for y, expected in zip(found, wanted, strict=True):
        assert y.shape == expected.shape
        assert y.dtype == expected.dtype
        assert np.isfinite(expected).all()
        if expected.size:
            largest = float(np.abs(expected).max()) or 1.0
            worst = max(worst, float(np.abs(y.astype(np.float64) - expected).max()) / largest)
    return worst


def noise(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
