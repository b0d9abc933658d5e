"""torch.onnx: programs for other runtimes, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "save weights: torch.save(model.state_dict(), path), and export them where PyTorch is installed"
_NAMES = (
    "export",
    "is_in_onnx_export",
    "ONNXProgram",
    "dynamo_export",
    "register_custom_op_symbolic",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
