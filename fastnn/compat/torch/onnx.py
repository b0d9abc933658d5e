"""torch.onnx: files for other runtimes, which fastnn writes by a function of its own."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "call fastnn.interop.export_onnx(model, path, input_shape)"
_NAMES = (
    "export",
    "is_in_onnx_export",
    "ONNXProgram",
    "dynamo_export",
    "register_custom_op_symbolic",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
