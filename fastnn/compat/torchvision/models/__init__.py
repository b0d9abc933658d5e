"""torchvision.models: none is there yet; each name says what to use."""

from fastnn.compat.torch._missing import missing

_OWN = "write the network with nn, or use fastnn.models (resnet20, vgg_a_bn); weights of torchvision are .pth files"
__getattr__ = missing(
    __name__,
    dict.fromkeys(
        (
            "AlexNet", "DenseNet", "EfficientNet", "GoogLeNet", "Inception3", "MobileNetV2", "MobileNetV3", "ResNet",
            "SqueezeNet", "VGG", "alexnet", "densenet121", "densenet161", "densenet169", "densenet201",
            "efficientnet_b0", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large",
            "mobilenet_v3_small", "resnet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
            "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1", "vgg", "vgg11", "vgg11_bn",
            "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "vit_b_16", "wide_resnet50_2",
        ),
        _OWN,
    ),
)  # fmt: skip
