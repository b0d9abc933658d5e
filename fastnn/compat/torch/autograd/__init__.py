"""torch.autograd: gradients, a script's own operations, and whether something is recorded."""

from fastnn.autograd.modes import is_grad_enabled
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.autograd import anomaly_mode, function, functional, grad_mode, profiler, variable
from fastnn.compat.torch.autograd._backward import backward, grad
from fastnn.compat.torch.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from fastnn.compat.torch.autograd.function import Function
from fastnn.compat.torch.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from fastnn.compat.torch.autograd.gradcheck import gradcheck
from fastnn.compat.torch.autograd.variable import Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "variable",
]

__getattr__ = missing(
    __name__,
    {
        "forward_ad": "gradients go backwards only: use torch.autograd.functional.jacobian, or vjp",
        "graph": "tensor.register_hook(hook) sees gradients",
        "gradgradcheck": "there are no second derivatives",
    },
)
