"""Names of `torch.nn` that fastnn has not, and what to use instead of each."""

__all__ = ["ABSENT"]

_VOLUMES = "fastnn's layers are of images (N, C, H, W): use the one that ends in 2d, with depth among the channels"
_QUANTIZED = "fastnn computes in float32 or float64: use the layers of torch.nn"

ABSENT = {
    **dict.fromkeys(
        (
            "AdaptiveAvgPool3d", "AdaptiveMaxPool3d", "AvgPool3d", "BatchNorm3d", "CircularPad3d", "ConstantPad3d",
            "Conv3d", "ConvTranspose3d", "Dropout3d", "FractionalMaxPool3d", "InstanceNorm3d", "LPPool3d",
            "LazyBatchNorm3d", "LazyConv3d", "LazyConvTranspose3d", "LazyInstanceNorm3d", "MaxPool3d", "MaxUnpool3d",
            "ReflectionPad3d", "ReplicationPad3d", "ZeroPad3d",
        ),
        _VOLUMES,
    ),
    **dict.fromkeys(("intrinsic", "qat", "quantizable", "quantized"), _QUANTIZED),
    "AdaptiveLogSoftmaxWithLoss": "use Linear and CrossEntropyLoss",
    "CTCLoss": "cut the sequences to letters and use CrossEntropyLoss",
    "CrossMapLRN2d": "use LocalResponseNorm",
    "EmbeddingBag": "use Embedding(n, size)(x).mean(1)",
    "FeatureAlphaDropout": "use AlphaDropout or Dropout2d",
    "FractionalMaxPool2d": "use AdaptiveMaxPool2d",
    "LinearCrossEntropyLoss": "use Linear and CrossEntropyLoss",
    "LinearCrossEntropyOptions": "use Linear and CrossEntropyLoss",
    "SyncBatchNorm": "there is one process: use BatchNorm2d",
    "attention": "use functional.scaled_dot_product_attention",
    "common_types": "they are annotations: leave them out",
    "factory_kwargs": "pass dtype= to the layers",
    "grad": "use torch.autograd.grad",
}  # fmt: skip
