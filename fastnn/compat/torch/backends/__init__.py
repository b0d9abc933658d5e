"""torch.backends: the libraries that PyTorch computes with, and fastnn does not."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, nnpack, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "nnpack", "openmp", "opt_einsum"]

__getattr__ = missing(__name__, {"quantized": "use torch.float32: fastnn computes in floats"})
