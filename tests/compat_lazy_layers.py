"""Layers that wait for their first input: (name, arguments, keywords, shape of an input)."""

IMAGES, SEQUENCES = (2, 4, 7, 9), (2, 4, 9)

LAZY = [
    ("LazyLinear", (5,), {}, (3, 4)), ("LazyLinear", (5,), {"bias": False}, (2, 3, 4)),
    ("LazyConv1d", (6, 3), {}, SEQUENCES), ("LazyConv1d", (6, 3, 2, 1, 1, 2), {"bias": False}, SEQUENCES),
    ("LazyConv1d", (6,), {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, (4, 9)),
    ("LazyConv2d", (6, 3), {}, IMAGES), ("LazyConv2d", (6,), {"kernel_size": (3, 2), "stride": 2}, IMAGES),
    ("LazyConv2d", (4, 3, 1, 1), {"groups": 4, "bias": False}, IMAGES), ("LazyConv2d", (6, 3), {}, (4, 7, 9)),
    ("LazyConv2d", (6, 3), {"padding": "same", "dilation": 2}, IMAGES),
    ("LazyConv2d", (6, 3), {"padding": 1, "padding_mode": "circular"}, IMAGES),
    ("LazyConvTranspose1d", (6, 3, 2, 1, 1), {"groups": 2}, SEQUENCES),
    ("LazyConvTranspose2d", (6, 4, 2, 1), {"bias": False}, IMAGES),
    ("LazyConvTranspose2d", (6,), {"kernel_size": 3, "stride": 2, "output_padding": 1, "groups": 2}, IMAGES),
    ("LazyBatchNorm1d", (), {}, (5, 4)), ("LazyBatchNorm1d", (1e-3, 0.3), {}, SEQUENCES),
    ("LazyBatchNorm2d", (), {}, IMAGES), ("LazyBatchNorm2d", (), {"affine": False}, IMAGES),
    ("LazyBatchNorm2d", (), {"bias": False, "momentum": None}, IMAGES),
    ("LazyInstanceNorm1d", (), {}, SEQUENCES), ("LazyInstanceNorm2d", (), {}, IMAGES),
    ("LazyInstanceNorm2d", (), {"track_running_stats": False}, IMAGES),
]  # fmt: skip
