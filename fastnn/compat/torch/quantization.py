"""torch.quantization: layers of small integers, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "fastnn computes in floats: leave the model as it is"
_NAMES = (
    "convert",
    "fuse_modules",
    "prepare",
    "prepare_qat",
    "quantize_dynamic",
    "quantize",
    "quantize_qat",
    "get_default_qconfig",
    "get_default_qat_qconfig",
    "QuantStub",
    "DeQuantStub",
    "QConfig",
    "default_qconfig",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
