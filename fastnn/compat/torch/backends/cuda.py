"""torch.backends.cuda: how PyTorch computes on GPUs. Its settings are kept and change nothing."""

import contextlib
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_built
from fastnn.compat.torch.backends._switches import switched

__all__ = [
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "sdp_kernel",
]


class _Products:
    """How products of matrices are computed on GPUs."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False
    fp32_precision = "none"


matmul = _Products()

is_flash_attention_available = is_built
_flash = _math = _mem_efficient = _cudnn = True


def _pair(name: str, text: str) -> tuple[Any, Any]:
    """The functions that set and get a way to compute attention."""

    def enable(enabled: bool) -> None:
        globals()[name] = bool(enabled)

    def is_enabled() -> bool:
        return bool(globals()[name])

    enable.__doc__ = f"Keep whether GPUs may compute attention by {text}."
    is_enabled.__doc__ = f"Whether GPUs may compute attention by {text}."
    enable.__name__, is_enabled.__name__ = f"enable{name}_sdp", f"{name[1:]}_sdp_enabled"
    return enable, is_enabled


enable_flash_sdp, flash_sdp_enabled = _pair("_flash", "flash attention")
enable_math_sdp, math_sdp_enabled = _pair("_math", "its formula")
enable_mem_efficient_sdp, mem_efficient_sdp_enabled = _pair("_mem_efficient", "parts")
enable_cudnn_sdp, cudnn_sdp_enabled = _pair("_cudnn", "cuDNN")


def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> contextlib.AbstractContextManager[None]:
    """A block with other ways to compute attention on GPUs."""
    ways = {"_flash": enable_flash, "_math": enable_math, "_mem_efficient": enable_mem_efficient}
    return switched(__name__, **ways, _cudnn=enable_cudnn)


__getattr__ = missing(__name__)
