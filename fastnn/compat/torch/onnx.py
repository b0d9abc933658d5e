"""torch.onnx: files for other runtimes, written by fastnn.interop.export_onnx: `pip install 'fastnn[onnx]'`."""

import enum
import os
import tempfile
import warnings
from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = ["TrainingMode", "export", "is_in_onnx_export"]


class TrainingMode(enum.Enum):
    """The mode in which a model is exported; only EVAL is."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


def is_in_onnx_export() -> bool:
    """False: a model runs as always while it is exported."""
    return False


def export(
    model: Any,
    args: Any = (),
    f: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    export_params: bool = True,
    training: TrainingMode = TrainingMode.EVAL,
    input_names: Any = None,
    output_names: Any = None,
    opset_version: int | None = None,
    dynamic_axes: dict[str, Any] | None = None,
    dynamic_shapes: Any = None,
    **ignored: Any,
) -> None:
    """Write a model as an ONNX file. Sizes are those of `args`, but for the one axis that `dynamic_axes` names.

    Options that change neither the graph nor the weights, such as `verbose` and `do_constant_folding`, are ignored. An
    older `opset_version` than 18 gives a warning and 18.
    """
    from fastnn.interop.onnx import OPSETS, export_onnx

    unknown = set(ignored) - _WITHOUT_EFFECT
    if unknown:
        raise TypeError(f"torch.onnx.export: there is no argument {', '.join(sorted(unknown))}")
    if kwargs or dynamic_shapes is not None:
        raise ValueError("torch.onnx.export: kwargs and dynamic_shapes are not in fastnn: use args and dynamic_axes")
    if not export_params or training is not TrainingMode.EVAL:
        raise ValueError("torch.onnx.export: fastnn writes models with their parameters, in evaluation mode")
    if f is None:
        raise TypeError("torch.onnx.export: f must be a path or a file that was opened for writing bytes")
    opset = OPSETS.start if opset_version is None else opset_version
    if opset < OPSETS.start:
        warnings.warn(f"torch.onnx.export: fastnn writes opset {OPSETS.start}, not {opset}", stacklevel=2)
        opset = OPSETS.start
    inputs = tuple(args) if isinstance(args, tuple | list) else (args,)
    names = _names_of(inputs, input_names)
    axes = [_open_axis(name, dynamic_axes) for name in names]
    labels = [label for _, label in axes if label]
    options: dict[str, Any] = {
        "input_names": names,
        "output_names": list(output_names) if output_names else None,
        "batch_axis": [axis for axis, _ in axes],
        "batch_name": labels[0] if labels else "batch",
        "opset": opset,
    }
    examples = tuple(_example(value) for value in inputs)
    if not hasattr(f, "write"):
        export_onnx(model, f, examples, **options)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        export_onnx(model, path, examples, **options)
        with open(path, "rb") as file:
            f.write(file.read())


_WITHOUT_EFFECT = {
    "artifacts_dir", "autograd_inlining", "do_constant_folding", "dynamo", "external_data", "fallback",
    "keep_initializers_as_inputs", "operator_export_type", "optimize", "profile", "report", "verbose", "verify",
}  # fmt: skip


def _names_of(inputs: tuple[Any, ...], given: Any) -> list[str]:
    if given:
        return list(given)
    return ["input"] if len(inputs) == 1 else [f"input_{index}" for index in range(len(inputs))]


def _open_axis(name: str, dynamic_axes: dict[str, Any] | None) -> tuple[int | None, str]:
    """The axis of an input whose size is left open, or None, and the name of that size, or ''."""
    axes = (dynamic_axes or {}).get(name)
    if not axes:
        return None, ""
    if len(axes) > 1:
        raise ValueError(
            "torch.onnx.export: fastnn leaves the size of one axis open, that of the batch. "
            f"Received for {name!r}: {axes}"
        )
    (axis,) = axes
    return axis, str(axes[axis]) if isinstance(axes, dict) else ""


def _example(value: Any) -> Any:
    """The shape of an input of floats, for which any numbers will do; other inputs as they are."""
    array = value.detach().numpy() if hasattr(value, "detach") else value
    return tuple(array.shape) if getattr(array, "dtype", None) is not None and array.dtype.kind == "f" else array


_ADVICE = "call torch.onnx.export(model, args, path) or fastnn.interop.export_onnx(model, path, input_shape)"
__getattr__ = missing(__name__, dict.fromkeys(("ONNXProgram", "dynamo_export", "register_custom_op_symbolic"), _ADVICE))
