"""What scripts do with the parameters of modules besides training them.

Example:
    >>> import fastnn.compat.torch as torch
    >>> from fastnn.compat.torch.nn import Linear
    >>> from fastnn.compat.torch.nn.utils import clip_grad_norm_
    >>> layer = Linear(2, 1)
    >>> layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    >>> clip_grad_norm_(layer.weight, 1.0).item(), round(layer.weight.grad.norm().item(), 3)
    (5.0, 1.0)
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.utils import parametrizations, parametrize, rnn, stateless
from fastnn.compat.torch.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from fastnn.compat.torch.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from fastnn.compat.torch.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from fastnn.compat.torch.nn.utils.init import skip_init
from fastnn.compat.torch.nn.utils.memory_format import (
    convert_conv2d_weight_memory_format,
    convert_conv3d_weight_memory_format,
)
from fastnn.compat.torch.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from fastnn.compat.torch.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_",
    "convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format", "fuse_conv_bn_eval",
    "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights", "get_total_norm", "parameters_to_vector",
    "parametrizations", "parametrize", "remove_spectral_norm", "remove_weight_norm", "rnn", "skip_init",
    "spectral_norm", "stateless", "vector_to_parameters", "weight_norm",
]  # fmt: skip

__getattr__ = missing(__name__)
