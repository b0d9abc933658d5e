"""Functions behind the layers, by PyTorch's signatures, over `fastnn.functional`."""

# ruff: noqa: F403 (what is here is made elsewhere)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn._functional_activation import *
from fastnn.compat.torch.nn._functional_activation import __all__ as _activation
from fastnn.compat.torch.nn._functional_layers import *
from fastnn.compat.torch.nn._functional_layers import __all__ as _layers
from fastnn.compat.torch.nn._functional_losses import *
from fastnn.compat.torch.nn._functional_losses import __all__ as _losses
from fastnn.compat.torch.nn._functional_pooling import *
from fastnn.compat.torch.nn._functional_pooling import __all__ as _pooling
from fastnn.compat.torch.nn._functional_sampling import *
from fastnn.compat.torch.nn._functional_sampling import __all__ as _sampling
from fastnn.compat.torch.nn._functional_shapes import *
from fastnn.compat.torch.nn._functional_shapes import __all__ as _shapes

__all__ = [*_activation, *_layers, *_losses, *_pooling, *_sampling, *_shapes]

_VOLUMES = "fastnn's layers are of images: work on (N, C, H, W), with depth among the images or the channels"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(
            ("adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "conv3d", "conv_transpose3d", "dropout3d",
             "lp_pool3d", "max_pool3d", "max_unpool3d", "fractional_max_pool3d", "adaptive_max_pool3d_with_indices",
             "max_pool3d_with_indices", "fractional_max_pool3d_with_indices"),
            _VOLUMES,
        ),
        **dict.fromkeys(
            ("fractional_max_pool2d", "fractional_max_pool2d_with_indices"), "use adaptive_max_pool2d"
        ),
        "conv_tbc": "use conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0))",
        "ctc_loss": "cut the sequences to letters and use cross_entropy",
        "embedding_bag": "use embedding(input, weight).mean(1)",
        "feature_alpha_dropout": "use alpha_dropout or dropout2d",
        "linear_cross_entropy": "use cross_entropy(linear(input, weight), target)",
        "multi_head_attention_forward": "use nn.MultiheadAttention",
    },
)  # fmt: skip
