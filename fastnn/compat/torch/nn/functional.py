"""Functions behind the layers, by PyTorch's signatures, over `fastnn.functional`."""

# ruff: noqa: F403 (what is here is made elsewhere)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn._functional_activation import *
from fastnn.compat.torch.nn._functional_activation import __all__ as _activation
from fastnn.compat.torch.nn._functional_layers import *
from fastnn.compat.torch.nn._functional_layers import __all__ as _layers
from fastnn.compat.torch.nn._functional_losses import *
from fastnn.compat.torch.nn._functional_losses import __all__ as _losses

__all__ = [*_activation, *_layers, *_losses]

_VOLUMES = "fastnn's layers are of images: work on (N, C, H, W), with depth among the images or the channels"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(
            ("adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "conv3d", "conv_transpose3d", "dropout3d",
             "lp_pool3d", "max_pool3d", "max_unpool3d", "fractional_max_pool3d"),
            _VOLUMES,
        ),
        "ctc_loss": "cut the sequences to letters and use cross_entropy",
        "embedding_bag": "use embedding(input, weight).mean(1)",
        "feature_alpha_dropout": "use alpha_dropout or dropout2d",
        "fractional_max_pool2d": "use adaptive_max_pool2d",
        "grid_sample": "warp the images before training, or use interpolate",
        "multi_head_attention_forward": "use nn.MultiheadAttention",
        "multilabel_margin_loss": "use multilabel_soft_margin_loss",
    },
)  # fmt: skip
