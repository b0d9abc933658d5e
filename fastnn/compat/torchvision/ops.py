"""torchvision.ops: what is there of it."""

from fastnn.compat.torch._missing import missing

_BOXES = "fastnn has no operations for detecting objects"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(
            ("DeformConv2d", "FeaturePyramidNetwork", "MultiScaleRoIAlign", "PSRoIAlign", "PSRoIPool", "RoIAlign",
             "RoIPool", "batched_nms", "box_area", "box_convert", "box_iou", "deform_conv2d", "generalized_box_iou",
             "nms", "ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"),
            _BOXES,
        ),
        "Conv2dNormActivation": "use nn.Sequential(nn.Conv2d(..., bias=False), nn.BatchNorm2d(...), nn.ReLU())",
        "MLP": "use nn.Sequential of nn.Linear, nn.ReLU and nn.Dropout",
        "Permute": "use x.permute(...) in forward",
        "SqueezeExcitation": "write it with nn.AdaptiveAvgPool2d(1) and two nn.Conv2d of kernel size 1",
        "sigmoid_focal_loss": "write it with torch.sigmoid and F.binary_cross_entropy_with_logits(reduction='none')",
        "DropBlock2d": "use nn.Dropout2d",
        "StochasticDepth": "multiply the branch by a random mask divided by its mean",
        "stochastic_depth": "multiply the branch by a random mask divided by its mean",
    },
)  # fmt: skip
