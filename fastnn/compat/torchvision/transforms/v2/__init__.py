"""torchvision.transforms.v2: the same transforms, which may be called with an image and its label, or any sample.

Of a sample, images of Pillow are changed, all with the same random numbers; if there is none, the first tensor is. All
else stays. There are no boxes, masks or videos, and a tensor is a tensor: `ToImage` gives one.
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.transforms._images import InterpolationMode
from fastnn.compat.torchvision.transforms.autoaugment import AutoAugmentPolicy
from fastnn.compat.torchvision.transforms.v2 import functional
from fastnn.compat.torchvision.transforms.v2._base import Transform
from fastnn.compat.torchvision.transforms.v2._mixing import CutMix, MixUp
from fastnn.compat.torchvision.transforms.v2._transforms import (
    RGB,
    AutoAugment,
    CenterCrop,
    ColorJitter,
    Compose,
    ConvertImageDtype,
    FiveCrop,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    Identity,
    Lambda,
    LinearTransformation,
    Normalize,
    Pad,
    PILToTensor,
    RandAugment,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomAutocontrast,
    RandomChannelPermutation,
    RandomChoice,
    RandomCrop,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomOrder,
    RandomPerspective,
    RandomPosterize,
    RandomResize,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
    RandomVerticalFlip,
    Resize,
    TenCrop,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
    ToTensor,
    TrivialAugmentWide,
)

__all__ = [
    "RGB", "AutoAugment", "AutoAugmentPolicy", "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "CutMix",
    "FiveCrop", "GaussianBlur", "GaussianNoise", "Grayscale", "Identity", "InterpolationMode", "Lambda",
    "LinearTransformation", "MixUp", "Normalize", "PILToTensor", "Pad", "RandAugment", "RandomAdjustSharpness",
    "RandomAffine", "RandomApply", "RandomAutocontrast", "RandomChannelPermutation", "RandomChoice", "RandomCrop",
    "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomInvert", "RandomOrder",
    "RandomPerspective", "RandomPosterize", "RandomResize", "RandomResizedCrop", "RandomRotation", "RandomSolarize",
    "RandomVerticalFlip", "Resize", "TenCrop", "ToDtype", "ToImage", "ToPILImage", "ToPureTensor", "ToTensor",
    "Transform", "TrivialAugmentWide", "functional",
]  # fmt: skip

_BOXES = "boxes, masks and keypoints are not transformed"
__getattr__ = missing(
    __name__,
    {
        "AugMix": "use RandAugment or TrivialAugmentWide",
        "ElasticTransform": "use RandomAffine or RandomPerspective",
        "JPEG": "use GaussianBlur",
        "RandomPhotometricDistort": "use ColorJitter and RandomApply",
        "RandomZoomOut": "use Pad and RandomCrop",
        "RandomIoUCrop": _BOXES,
        "SanitizeBoundingBoxes": _BOXES,
        "ClampBoundingBoxes": _BOXES,
        "ConvertBoundingBoxFormat": _BOXES,
        "RandomShortestSize": "use RandomResize",
        "ScaleJitter": "use RandomResize",
        "UniformTemporalSubsample": "fastnn has no videos",
    },
)
