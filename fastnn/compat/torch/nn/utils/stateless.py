"""Modules that compute with other parameters than their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor
from fastnn.compat.torch.nn.modules import _state

__all__ = ["functional_call"]

__getattr__ = missing(__name__)


@contextmanager
def _put(module: Any, tensors: Mapping[str, Any]) -> Iterator[None]:
    before = []
    try:
        for path, tensor in tensors.items():
            above, _, name = path.rpartition(".")
            own = module.get_submodule(above).__dict__
            if name in own["_parameters"]:
                before.append((own["_parameters"], name, own["_parameters"][name]))
                own["_parameters"][name] = tensor
            elif name in own["_buffers"]:
                known = _state.buffer_tensor(own, name)
                before.append((own, name, known))
                _state.set_buffer(own, name, tensor)
            else:
                raise AttributeError(f"functional_call: the module has no parameter or buffer {path!r}")
        yield
    finally:
        for registry, name, value in reversed(before):
            if "_buffers" in registry:
                _state.set_buffer(registry, name, value)
            else:
                registry[name] = value


def functional_call(
    module: Any,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The result of a module with these parameters and buffers, by path, in the place of its own

    A buffer that the forward writes into is written into in the tensor that was given.
    """
    given = dict(parameters_and_buffers)
    names = {name: id(value) for name, value in (*module.named_parameters(remove_duplicate=False),
                                                *module.named_buffers(remove_duplicate=False))}  # fmt: skip
    if strict:
        missing_ones, unexpected = [name for name in names if name not in given], [n for n in given if n not in names]
        if missing_ones or unexpected:
            raise RuntimeError(f"Missing key(s): {missing_ones}, unexpected key(s): {unexpected}")
    if tie_weights:  # what is one tensor in several places is replaced in all of them
        by_tensor = {names[name]: value for name, value in given.items() if name in names}
        given = {**{name: by_tensor[known] for name, known in names.items() if known in by_tensor}, **given}
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _put(module, given):
        return module(*arguments, **(kwargs or {}))
