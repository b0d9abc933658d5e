"""torch.func: functions of functions, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "use torch.autograd.grad, and a loop or a batch axis"
_NAMES = (
    "grad",
    "grad_and_value",
    "vmap",
    "vjp",
    "jvp",
    "jacrev",
    "jacfwd",
    "hessian",
    "functional_call",
    "stack_module_state",
    "linearize",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
