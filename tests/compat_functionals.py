"""Functions of `torch.nn.functional`, with what they are called with: (name, arguments, keywords).

Tensors among the arguments: `N` of normal numbers, `P` of probabilities, `I` of integers below a bound, `S` of 1 and
-1, `B` of bools, `A` of these very numbers.
"""

import zlib

import numpy as np

__all__ = ["CASES", "IN_PLACE", "RANDOM", "Given", "ids", "materialised"]


class Given:
    """An argument that is a tensor."""

    def __init__(self, kind, values, has_gradient=True):
        self.kind, self.values, self.has_gradient = kind, values, has_gradient

    def __repr__(self):
        shape = self.values if self.kind != "A" else np.shape(self.values)
        return f"{self.kind}{tuple(shape)}".replace(" ", "")

    def array(self, seed, dtype):
        rng = np.random.default_rng(seed)
        if self.kind == "A":
            array = np.asarray(self.values)
            return array.astype(dtype) if array.dtype.kind == "f" else array
        if self.kind == "I":
            high, *shape = self.values
            return rng.integers(0, high, shape)
        if self.kind == "B":
            return rng.random(self.values) < 0.7
        if self.kind == "P":
            return rng.uniform(0.05, 0.95, self.values).astype(dtype)
        if self.kind == "S":
            return rng.choice([-1.0, 1.0], self.values).astype(dtype)
        return rng.standard_normal(self.values).astype(dtype)


def N(*shape):
    return Given("N", shape)


def P(*shape):
    return Given("P", shape)


def I(*values):  # noqa: E743
    return Given("I", values)


def B(*shape):
    return Given("B", shape)


def S(*shape):
    return Given("S", shape, has_gradient=False)


def A(*values):
    return Given("A", values[0] if len(values) == 1 else list(values), has_gradient=False)


def constant(given):
    return Given(given.kind, given.values, has_gradient=False)


def materialised(case, dtype):
    """The arguments and keywords of a case, with arrays in the place of tensors, and whether these have gradients."""
    _name, arguments, keywords = case
    seed = zlib.crc32(repr(case).encode())
    wanted = []

    def replaced(value, place):
        if not isinstance(value, Given):
            return value
        array = value.array([seed, place], dtype)
        wanted.append(value.has_gradient and array.dtype.kind == "f")
        return array

    given = [replaced(value, place) for place, value in enumerate(arguments)]
    named = {key: replaced(value, 100 + place) for place, (key, value) in enumerate(keywords.items())}
    return given, named, wanted


def case(name, *arguments, **keywords):
    return name, arguments, keywords


def ids(cases):
    return [f"{name}({', '.join([*map(repr, a), *(f'{k}={v!r}' for k, v in kw.items())])})" for name, a, kw in cases]


# ---- activations -----------------------------------------------------------------------------------------------------
_X = N(3, 4, 5)
ACTIVATIONS = [
    case(name, _X)
    for name in (
        "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
        "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    )
] + [
    case("relu", N()), case("relu", A([[-2, 3], [0, 1]])), case("relu", N(0, 3)),
    case("relu", N(7), inplace=False), case("celu", _X, 0.5),
    case("celu", _X, alpha=2.0), case("elu", _X, 0.5), case("elu", _X, alpha=1.7), case("gelu", _X, approximate="tanh"),
    case("gelu", _X, approximate="none"), case("hardshrink", _X, 0.2), case("hardshrink", _X, lambd=1.0),
    case("hardtanh", _X, -0.5, 0.3), case("hardtanh", _X, min_val=-2.0, max_val=0.5), case("leaky_relu", _X, 0.3),
    case("leaky_relu", _X, negative_slope=0.0), case("rrelu", _X, 0.1, 0.2), case("softplus", _X, 2.0, 1.0),
    case("softplus", _X, beta=0.5), case("softshrink", _X, 0.1), case("softshrink", _X, lambd=0.0),
    case("threshold", _X, 0.1, 20.0), case("threshold", _X, threshold=-0.5, value=-3.0), case("glu", N(3, 4, 6)),
    case("glu", N(3, 4, 5), 1), case("glu", N(6), dim=0), case("prelu", N(3, 4, 5), N(4)), case("prelu", N(3, 4), N(1)),
    case("prelu", N(2, 4, 3, 3), N(4)), case("softmax", _X, 1), case("softmax", N(4), 0), case("softmax", _X, dim=-1),
    case("softmax", N(2, 3, 4, 5), dim=2), case("softmin", _X, 1), case("softmin", _X, dim=0),
    case("log_softmax", _X, 1), case("log_softmax", N(4), dim=0), case("log_softmax", N(2, 3, 4, 5), dim=-3),
    case("normalize", _X), case("normalize", _X, 1.0, 2), case("normalize", _X, p=3.0, dim=(0, 1)),
    case("normalize", _X, p=float("inf"), dim=-1), case("normalize", A([[0.0, 0.0], [3.0, 4.0]])),
]  # fmt: skip

# ---- layers ----------------------------------------------------------------------------------------------------------
_IMAGES, _SEQUENCES = N(2, 4, 7, 9), N(2, 4, 9)
PRODUCTS = [
    case("linear", N(3, 5), N(4, 5)), case("linear", N(2, 3, 5), N(4, 5), N(4)), case("linear", N(5), N(4, 5), N(4)),
    case("linear", N(3, 5), weight=N(4, 5), bias=N(4)), case("linear", N(5), N(5)), case("linear", N(2, 5), N(5)),
    case("bilinear", N(3, 4), N(3, 5), N(2, 4, 5), N(2)), case("bilinear", N(2, 3, 4), N(2, 3, 5), N(2, 4, 5)),
    case("conv2d", _IMAGES, N(6, 4, 3, 3)), case("conv2d", _IMAGES, N(6, 4, 3, 2), N(6), 2, (1, 0)),
    case("conv2d", _IMAGES, N(6, 2, 3, 3), N(6), stride=(2, 1), padding=1, dilation=(1, 2), groups=2),
    case("conv2d", _IMAGES, N(4, 1, 3, 3), None, 1, "same", 1, 4), case("conv2d", N(4, 7, 9), N(6, 4, 3, 3), N(6)),
    case("conv2d", _IMAGES, N(6, 4, 2, 3), padding="same"), case("conv2d", _IMAGES, N(6, 4, 1, 1), padding="valid"),
    case("conv1d", _SEQUENCES, N(6, 4, 3)), case("conv1d", _SEQUENCES, N(6, 2, 3), N(6), 2, 1, 2, 2),
    case("conv1d", N(4, 9), N(6, 4, 3), N(6), padding="same"), case("conv1d", _SEQUENCES, N(6, 4, 3), stride=(2,)),
    case("conv_transpose2d", _IMAGES, N(4, 6, 3, 3)),
    case("conv_transpose2d", _IMAGES, N(4, 3, 3, 2), N(6), 2, (1, 0), 1, 2),
    case("conv_transpose2d", N(4, 7, 9), N(4, 6, 2, 2), stride=2, dilation=(1, 2)),
    case("conv_transpose1d", _SEQUENCES, N(4, 6, 3)),
    case("conv_transpose1d", _SEQUENCES, N(4, 3, 3), N(6), 2, 1, 1, 2),
    case("conv_transpose1d", N(4, 9), N(4, 6, 2), stride=2, padding=1),
    case("embedding", I(7, 3, 4), N(7, 5)), case("embedding", I(7, 3), N(7, 5), 2),
    case("embedding", I(7), N(7, 5), padding_idx=-1),
    case("scaled_dot_product_attention", N(2, 3, 4, 6), N(2, 3, 5, 6), N(2, 3, 5, 6)),
    case("scaled_dot_product_attention", N(2, 4, 6), N(2, 4, 6), N(2, 4, 5), is_causal=True),
    case("scaled_dot_product_attention", N(2, 3, 4, 6), N(2, 3, 5, 6), N(2, 3, 5, 6), attn_mask=N(4, 5), scale=0.3),
    case("scaled_dot_product_attention", N(2, 4, 4, 6), N(2, 2, 5, 6), N(2, 2, 5, 6), enable_gqa=True),
    case("scaled_dot_product_attention", N(2, 2, 3, 6), N(2, 2, 4, 6), N(2, 2, 4, 6),
         A([[True, False, True, True], [True, True, True, True], [False, False, True, False]])),
]  # fmt: skip

POOLING = [
    case("max_pool2d", _IMAGES, 2), case("max_pool2d", _IMAGES, (3, 2), (2, 1), 1),
    case("max_pool2d", N(4, 7, 9), 3, 2),
    case("max_pool2d", _IMAGES, kernel_size=2, stride=1, dilation=2), case("max_pool2d", _IMAGES, 2, ceil_mode=True),
    case("max_pool2d", _IMAGES, 2, return_indices=True), case("max_pool2d_with_indices", _IMAGES, 3, 2, 1),
    case("max_pool2d", I(9, 2, 4, 7, 9), 2), case("max_pool2d", I(9, 4, 7, 9), 3, 2, 1, return_indices=True),
    case("max_pool1d", _SEQUENCES, 2), case("max_pool1d", _SEQUENCES, 3, 2, 1, ceil_mode=True),
    case("max_pool1d", N(4, 9), kernel_size=3, dilation=2, stride=1), case("max_pool1d_with_indices", _SEQUENCES, 3),
    case("max_pool1d", _SEQUENCES, 3, return_indices=True),
    case("avg_pool2d", _IMAGES, 2), case("avg_pool2d", _IMAGES, (3, 2), (2, 1), 1), case("avg_pool2d", N(4, 7, 9), 3),
    case("avg_pool2d", _IMAGES, 3, 2, 1, count_include_pad=False), case("avg_pool2d", _IMAGES, 2, ceil_mode=True),
    case("avg_pool2d", _IMAGES, 3, 2, 1, divisor_override=5), case("avg_pool1d", _SEQUENCES, 2),
    case("avg_pool1d", _SEQUENCES, 3, 2, 1, True, False), case("avg_pool1d", N(4, 9), kernel_size=(3,)),
    case("adaptive_avg_pool2d", _IMAGES, 1), case("adaptive_avg_pool2d", _IMAGES, (3, 4)),
    case("adaptive_avg_pool2d", N(4, 7, 9), (None, 2)), case("adaptive_avg_pool1d", _SEQUENCES, 4),
    case("adaptive_avg_pool1d", N(4, 9), 1), case("adaptive_max_pool2d", _IMAGES, (3, 4)),
    case("adaptive_max_pool2d", N(4, 7, 9), 2, return_indices=True), case("adaptive_max_pool1d", _SEQUENCES, 4),
    case("adaptive_max_pool2d_with_indices", _IMAGES, 3), case("adaptive_max_pool1d_with_indices", _SEQUENCES, 3),
    case("adaptive_max_pool1d", _SEQUENCES, 3, True),
    case("lp_pool2d", _IMAGES, 2.0, 2), case("lp_pool2d", _IMAGES, 3.0, (3, 2), stride=2, ceil_mode=True),
    case("lp_pool1d", _SEQUENCES, 2.0, 3), case("lp_pool1d", _SEQUENCES, 1.0, 2, 1),
    case("max_unpool2d", N(1, 1, 2, 2), A([[[[0, 3], [8, 14]]]]), 2), case(
        "max_unpool2d", N(1, 1, 2, 2), A([[[[0, 3], [12, 18]]]]), 2, output_size=(5, 5)
    ),
    case("max_unpool1d", N(1, 2, 2), A([[[1, 2], [0, 3]]]), 2),
    case("max_unpool1d", N(2, 2), A([[1, 2], [0, 3]]), 2, 2),
]  # fmt: skip

_STATISTICS = constant(N(4)), constant(P(4))
NORMS = [
    case("batch_norm", _IMAGES, *_STATISTICS), case("batch_norm", _IMAGES, *_STATISTICS, N(4), N(4), True),
    case("batch_norm", _IMAGES, None, None, training=True), case("batch_norm", N(5, 4), *_STATISTICS, N(4), N(4), True),
    case("batch_norm", _SEQUENCES, *_STATISTICS, weight=N(4), bias=N(4), training=True, momentum=0.3, eps=1e-3),
    case("instance_norm", _IMAGES), case("instance_norm", _SEQUENCES, weight=N(4), bias=N(4)),
    case("instance_norm", _IMAGES, *_STATISTICS, N(4), N(4), True, 0.2, 1e-3),
    case("instance_norm", _IMAGES, *_STATISTICS, use_input_stats=False),
    case("layer_norm", _IMAGES, (9,)), case("layer_norm", _IMAGES, (7, 9), N(7, 9), N(7, 9)),
    case("layer_norm", N(3, 5), [5], weight=N(5), eps=1e-2), case("group_norm", _IMAGES, 2),
    case("group_norm", _SEQUENCES, 4, N(4), N(4), 1e-3), case("group_norm", N(3, 4), num_groups=1, weight=N(4)),
    case("rms_norm", _IMAGES, (9,)), case("rms_norm", N(3, 5), (5,), N(5), 1e-3),
    case("local_response_norm", N(2, 6, 3, 3), 3), case("local_response_norm", N(2, 6, 4), 4, 0.1, 0.5, 2.0),
]  # fmt: skip

SHAPES = [
    case("one_hot", I(5, 3, 4), 5), case("one_hot", A([0, 4, 2])), case("one_hot", I(3), num_classes=4),
    case("pad", _IMAGES, (1, 2)), case("pad", _IMAGES, (1, 2, 3, 0)),
    case("pad", _IMAGES, (1, 1, 0, 2, 3, 1), value=2.5),
    case("pad", _IMAGES, [-1, 2, 1, -2], "constant", -1.0), case("pad", N(5), (2, 1)), case("pad", I(9, 3, 4), (1, 1)),
    case("pad", _IMAGES, (2, 1, 1, 3), mode="reflect"), case("pad", _SEQUENCES, (3, 2), mode="reflect"),
    case("pad", _IMAGES, (2, 1, 1, 3), mode="replicate"), case("pad", N(4, 9), (3, 2), mode="replicate"),
    case("pad", _IMAGES, (2, 1, 1, 3), mode="circular"), case("pad", _SEQUENCES, (4, 0), "circular"),
    case("pad", N(2, 3), (0, 0)), case("interpolate", _IMAGES, scale_factor=2),
    case("interpolate", _IMAGES, (10, 5)), case("interpolate", _IMAGES, size=4, mode="bilinear"),
    case("interpolate", _IMAGES, scale_factor=(2.0, 1.5), mode="bilinear", align_corners=True),
    case("interpolate", _IMAGES, scale_factor=1.7, mode="bilinear", align_corners=False),
    case("interpolate", _IMAGES, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
    case("interpolate", _SEQUENCES, scale_factor=2.5, mode="linear"), case("interpolate", _SEQUENCES, 4),
    case("interpolate", A(np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)), scale_factor=2),
    case("interpolate", _IMAGES, (3, 4), mode="area"), case("interpolate", _SEQUENCES, 5, mode="area"),
    *[case("interpolate", N(2, 3, 7, 9), **settings) for settings in (
        {"size": (10, 5), "mode": "bicubic"}, {"size": (10, 5), "mode": "bicubic", "align_corners": True},
        {"scale_factor": 1.7, "mode": "bicubic"}, {"size": 1, "mode": "bicubic", "align_corners": True},
        {"scale_factor": 2.3, "mode": "bicubic", "recompute_scale_factor": True},
        {"size": (4, 12), "mode": "bicubic", "antialias": True},
        {"size": (3, 4), "mode": "bilinear", "antialias": True},
        {"scale_factor": 0.4, "mode": "bilinear", "antialias": True}, {"size": (4, 12), "mode": "nearest-exact"},
        {"scale_factor": (1.7, 0.6), "mode": "nearest-exact"},
    )],
    case("interpolate", _SEQUENCES, 5, mode="nearest-exact"),
    case("interpolate", _SEQUENCES, scale_factor=0.5, mode="area"),
    *[case("grid_sample", N(2, 3, 5, 6), N(2, 4, 3, 2), "bilinear", mode, align)
      for mode in ("zeros", "border", "reflection") for align in (True, False)],
    *[case("grid_sample", N(2, 3, 5, 6), constant(N(2, 4, 3, 2)), mode="nearest",
    padding_mode=mode, align_corners=align)
      for mode in ("zeros", "border", "reflection") for align in (True, False)],
    case("grid_sample", N(1, 1, 1, 1), N(1, 2, 2, 2), padding_mode="reflection", align_corners=True),
    case("upsample", _IMAGES, scale_factor=2), case("upsample", _IMAGES, (4, 11), None, "bilinear", True),
    case("upsample_nearest", _IMAGES, scale_factor=3), case("upsample_bilinear", _IMAGES, (4, 11)),
    case("affine_grid", N(2, 2, 3), (2, 1, 4, 5), align_corners=False),
    case("affine_grid", N(2, 2, 3), [2, 1, 4, 5], True), case("pixel_shuffle", N(2, 8, 3, 4), 2),
    case("pixel_shuffle", N(9, 3, 4), 3), case("pixel_unshuffle", N(2, 3, 4, 6), 2),
    case("pixel_unshuffle", N(3, 4, 6), 2),
    case("channel_shuffle", N(2, 6, 3, 4), 2), case("channel_shuffle", N(2, 6, 3), 3),
    case("native_channel_shuffle", constant(N(2, 6, 3, 4)), 3), case("unfold", _IMAGES, 3),
    case("unfold", _IMAGES, (3, 2), dilation=(1, 2), padding=1, stride=(2, 1)), case("unfold", N(4, 7, 9), 2, 1, 0, 2),
    case("fold", N(2, 12, 12), (4, 5), 2), case("fold", N(2, 18, 6), (4, 5), 3, padding=(0, 1), stride=(1, 2)),
    case("fold", N(12, 12), (4, 5), (2, 2), 1, 0, 1),
    case("cosine_similarity", N(3, 5), N(3, 5)), case("cosine_similarity", N(3, 5, 2), N(3, 5, 2), 2, 1e-3),
    case("cosine_similarity", N(3, 5), N(1, 5), dim=-1), case("pairwise_distance", N(3, 5), N(3, 5)),
    case("pairwise_distance", N(3, 5), N(3, 5), 1.0, 1e-3, True), case("pairwise_distance", N(5), N(5), p=3.0),
    case("pdist", N(4, 3)), case("pdist", N(4, 3), 1.0), case("pdist", N(4, 3), float("inf")),
]  # fmt: skip

# ---- losses ----------------------------------------------------------------------------------------------------------
REDUCTIONS = ("mean", "sum", "none")
_Y = N(4, 3), N(4, 3)
LOSSES = [
    case(name, *arguments, **keywords, reduction=reduction)
    for reduction in REDUCTIONS
    for name, arguments, keywords in [
        case("mse_loss", *_Y), case("l1_loss", *_Y), case("smooth_l1_loss", *_Y), case("smooth_l1_loss", *_Y, beta=0.3),
        case("smooth_l1_loss", *_Y, beta=0.0), case("huber_loss", *_Y), case("huber_loss", *_Y, delta=0.4),
        case("mse_loss", *_Y, weight=constant(P(4, 3))), case("l1_loss", *_Y, weight=constant(P(4, 3))),
        case("huber_loss", *_Y, weight=constant(P(4, 3)), delta=0.5), case("mse_loss", N(), N()),
        case("binary_cross_entropy", P(4, 3), P(4, 3)),
        case("binary_cross_entropy", P(4, 3), constant(P(4, 3)), constant(P(4, 3))),
        case("binary_cross_entropy", P(4, 3), P(4, 3), weight=constant(P(3))),
        case("binary_cross_entropy", A([0.0, 1.0, 0.5]), A([0.0, 0.0, 1.0])),
        case("binary_cross_entropy_with_logits", N(4, 3), P(4, 3)),
        case("binary_cross_entropy_with_logits", N(4, 3), P(4, 3), constant(P(4, 3)), pos_weight=constant(P(3))),
        case("kl_div", N(4, 3), P(4, 3)), case("kl_div", N(4, 3), N(4, 3), log_target=True),
        case("kl_div", N(3), A([0.0, 0.4, 0.6])), case("poisson_nll_loss", *_Y),
        case("poisson_nll_loss", P(4, 3), constant(P(4, 3)), log_input=False, eps=1e-3),
        case("poisson_nll_loss", N(4), A([0.0, 1.0, 2.0, 5.0]), full=True),
        case("gaussian_nll_loss", *_Y, P(4, 3)), case("gaussian_nll_loss", *_Y, P(4), full=True),
        case("gaussian_nll_loss", *_Y, P(4, 1), eps=0.4), case("gaussian_nll_loss", *_Y, 0.7),
        case("soft_margin_loss", N(4, 3), S(4, 3)), case("hinge_embedding_loss", N(4, 3), S(4, 3)),
        case("hinge_embedding_loss", N(4, 3), S(4, 3), margin=0.3),
        case("cosine_embedding_loss", *_Y, S(4)), case("cosine_embedding_loss", *_Y, S(4), margin=0.2),
        case("cosine_embedding_loss", N(5), N(5), S()), case("margin_ranking_loss", N(5), N(5), S(5)),
        case("margin_ranking_loss", N(4, 3), N(4, 3), S(4, 3), margin=0.5), case("triplet_margin_loss", *_Y, N(4, 3)),
        case("triplet_margin_loss", *_Y, N(4, 3), margin=0.4, p=1.0, eps=1e-3, swap=True),
        case("triplet_margin_loss", N(3), N(3), N(3)), case("triplet_margin_with_distance_loss", *_Y, N(4, 3)),
        case("triplet_margin_with_distance_loss", *_Y, N(4, 3), margin=2.0, swap=True),
        case("cross_entropy", N(6, 4), I(4, 6)), case("cross_entropy", N(6, 4), I(4, 6), constant(P(4))),
        case("cross_entropy", N(6, 4), I(4, 6), ignore_index=1), case("cross_entropy", N(2, 4, 3, 5), I(4, 2, 3, 5)),
        case("cross_entropy", N(6, 4), I(4, 6), constant(P(4)), ignore_index=2, label_smoothing=0.2),
        case("cross_entropy", N(6, 4), A([0, 1, -100, 3, -100, 2]), label_smoothing=0.1),
        case("cross_entropy", N(6, 4), P(6, 4)), case("cross_entropy", N(6, 4), P(6, 4), constant(P(4)),
                                                      label_smoothing=0.3),
        case("cross_entropy", N(2, 4, 3), P(2, 4, 3)), case("cross_entropy", N(4), I(4)),
        case("cross_entropy", N(4), P(4)),
        case("nll_loss", N(6, 4), I(4, 6)), case("nll_loss", N(6, 4), I(4, 6), constant(P(4)), ignore_index=0),
        case("nll_loss", N(2, 4, 3, 5), I(4, 2, 3, 5)), case("nll_loss", N(4), I(4)),
        case("multi_margin_loss", N(6, 4), I(4, 6)), case("multi_margin_loss", N(6, 4), I(4, 6), p=2, margin=0.5),
        case("multi_margin_loss", N(6, 4), I(4, 6), weight=constant(P(4))), case("multi_margin_loss", N(4), I(4)),
        case("multilabel_margin_loss", N(3, 4), A([[3, 0, -1, 1], [-1, 2, 0, 1], [1, 0, 2, 3]])),
        case("multilabel_margin_loss", N(4), A([2, 0, -1, 1])),
        case("multilabel_soft_margin_loss", N(4, 3), P(4, 3)),
        case("multilabel_soft_margin_loss", N(4, 3), P(4, 3), weight=constant(P(3))),
    ]
] + [
    case("kl_div", N(4, 3), P(4, 3), reduction="batchmean"), case("mse_loss", N(4, 3), N(3)),
    case("mse_loss", N(4, 3), N(4, 3), True, False), case("cross_entropy", N(6, 4), I(4, 6), None, False),
    case("nll_loss", N(6, 4), I(4, 6), None, True, -100, False), case("l1_loss", N(3), N(3), size_average=False),
]  # fmt: skip

CASES = ACTIVATIONS + PRODUCTS + POOLING + NORMS + SHAPES + LOSSES

IN_PLACE = [
    case("relu_", N(3, 4)), case("celu_", N(3, 4), 0.5), case("elu_", N(3, 4), 0.5),
    case("hardtanh_", N(3, 4), -0.5, 0.5),
    case("leaky_relu_", N(3, 4), 0.2), case("rrelu_", N(3, 4)), case("selu_", N(3, 4)),
    case("threshold_", N(3, 4), 0.1, 2.0),
] + [
    case(name, N(3, 4), *arguments, inplace=True)
    for name, *arguments in [
        ("relu",), ("relu6",), ("celu", 0.5), ("elu", 0.5), ("hardsigmoid",), ("hardswish",), ("hardtanh", -0.5, 0.5),
        ("leaky_relu", 0.2), ("mish",), ("selu",), ("silu",), ("rrelu", 0.1, 0.3), ("threshold", 0.1, 2.0),
    ]
]  # fmt: skip

# What is drawn anew in each call, and what training adds to it.
RANDOM = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "gumbel_softmax"]
