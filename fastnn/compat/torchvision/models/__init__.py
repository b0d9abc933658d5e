"""torchvision.models: ResNet, VGG, AlexNet, SqueezeNet, DenseNet and MobileNetV2, with torchvision's keys.

Weights are not fetched: those of a .pth file go into a model by `model.load_state_dict(torch.load(path))`, and
`resnet18(weights="DEFAULT")` finds the file where torchvision would have put it.
"""

# ruff: noqa: F403 (the names are in the `__all__` of the files)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models import alexnet as _alexnet
from fastnn.compat.torchvision.models import densenet, mobilenetv2, resnet, squeezenet, vgg
from fastnn.compat.torchvision.models._weights import Weights, WeightsEnum
from fastnn.compat.torchvision.models.alexnet import *
from fastnn.compat.torchvision.models.densenet import *
from fastnn.compat.torchvision.models.mobilenetv2 import *
from fastnn.compat.torchvision.models.resnet import *
from fastnn.compat.torchvision.models.squeezenet import *
from fastnn.compat.torchvision.models.vgg import *

__all__ = [
    *_alexnet.__all__,
    *densenet.__all__,
    *mobilenetv2.__all__,
    *resnet.__all__,
    *squeezenet.__all__,
    *vgg.__all__,
    "Weights",
    "WeightsEnum",
    "densenet",
    "mobilenetv2",
    "resnet",
    "squeezenet",
    "vgg",
]

_OWN = "use resnet18, mobilenet_v2 or vgg11_bn, or write the network with nn"
_OTHER_TASKS = "networks for classes of images are there"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(
            (
                "ConvNeXt", "EfficientNet", "GoogLeNet", "Inception3", "MNASNet", "MobileNetV3", "RegNet",
                "ShuffleNetV2", "SwinTransformer", "VisionTransformer", "convnext_tiny", "efficientnet_b0",
                "efficientnet_b1", "efficientnet_v2_s", "googlenet", "inception_v3", "mnasnet1_0",
                "mobilenet_v3_large", "mobilenet_v3_small", "regnet_y_400mf", "resnext101_64x4d",
                "shufflenet_v2_x1_0", "swin_t", "vit_b_16", "vit_b_32",
            ),
            _OWN,
        ),
        **dict.fromkeys(("detection", "optical_flow", "quantization", "segmentation", "video"), _OTHER_TASKS),
        "get_model": "call the model's function, as models.resnet18()",
        "list_models": "help(fastnn.compat.torchvision.models) shows what is there",
    },
)  # fmt: skip
