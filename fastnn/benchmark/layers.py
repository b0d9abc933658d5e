"""The layers of published networks, at their published sizes: shapes that were not chosen for being fast.

Only convolutions and linear layers, which take most of the time. Each distinct shape of a network occurs once.
"""

from dataclasses import dataclass

from fastnn import nn

__all__ = ["LAYERS", "Layer"]


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
        network: the first network that has it.
        c_in: the number of input channels, or input features of a linear layer.
        c_out: the number of output channels or features.
        size: the height and width of the input image in pixels; 0 for a linear layer.
        kernel, stride, padding, groups: the settings of a convolution; 0 for a linear layer.
        rows: the rows of a linear layer for each image: the number of tokens, or 1.
        is_first: whether it is the first layer, whose input needs no gradient.
    """

    network: str
    c_in: int
    c_out: int
    size: int = 0
    kernel: int = 0
    stride: int = 0
    padding: int = 0
    groups: int = 0
    rows: int = 1
    is_first: bool = False

    @property
    def name(self) -> str:
        """A description for tables.

        Example:
            >>> Layer("ResNet-18", 64, 128, 56, 3, 2, 1, 1).name
            '3x3 64 -> 128, 56x56, stride 2'
        """
        if not self.size:
            return f"linear {self.c_in} -> {self.c_out}" + (f", {self.rows} tokens" if self.rows > 1 else "")
        kind = "" if self.groups == 1 else ", depthwise" if self.groups == self.c_in else f", {self.groups} groups"
        stride = "" if self.stride == 1 else f", stride {self.stride}"
        return f"{self.kernel}x{self.kernel} {self.c_in} -> {self.c_out}, {self.size}x{self.size}{stride}{kind}"

    def shape(self, batch: int) -> tuple[int, ...]:
        """The shape of the input for this many images."""
        return (batch, self.c_in, self.size, self.size) if self.size else (batch * self.rows, self.c_in)

    @property
    def out_size(self) -> int:
        """The height and width of the output in pixels; 1 for a linear layer."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1 if self.size else 1

    def multiplications(self, batch: int) -> int:
        """The multiplications of one forward by the direct algorithm, for this many images.

        Example:
            >>> Layer("ResNet-18", 64, 128, 56, 3, 2, 1, 1).multiplications(8)
            462422016
        """
        outputs = batch * self.rows * self.c_out * self.out_size**2
        return outputs * (self.c_in // self.groups * self.kernel**2 if self.size else self.c_in)

    def values(self, batch: int) -> int:
        """The number of values in its input and its output, for this many images."""
        return batch * self.rows * (self.c_in * max(1, self.size) ** 2 + self.c_out * self.out_size**2)

    def make(self) -> nn.Sequential:
        """The layer as a network, with new weights."""
        if not self.size:
            return nn.Sequential(nn.Linear(self.c_in, self.c_out))
        return nn.Sequential(
            nn.Conv2d(self.c_in, self.c_out, self.kernel, self.stride, self.padding, groups=self.groups)
        )


# network: its layers as words. Of a convolution: c_in, c_out, size, then what differs from k3 s1 g1 and, for p, from
# (k - 1) / 2: kernel, stride, groups, padding. Of a linear layer: c_in, c_out, x and the tokens of an image. * is the
# first of its network.
_TABLE = """
LeNet-5: 1,6,32,k5,p0,* 6,16,14,k5,p0 400,120 120,84 84,10
MLP of a course: 3072,512,* 512,256 256,10 784,100,* 100,10
AlexNet: 3,64,224,k11,s4,p2,* 64,192,27,k5 192,384,13 384,256,13 256,256,13 9216,4096 4096,4096 4096,1000
VGG-16: 3,64,224,* 64,64,224 64,128,112 128,128,112 128,256,56 256,256,56 256,512,28 512,512,28 512,512,14 25088,4096
ResNet-18: 3,64,224,k7,s2,* 64,64,56 64,128,56,s2 128,128,28 128,256,28,s2 256,256,14 256,512,14,s2 512,512,7
ResNet-18: 64,128,56,k1,s2 128,256,28,k1,s2 256,512,14,k1,s2 512,1000
ResNet-50: 64,64,56,k1 64,256,56,k1 256,64,56,k1 256,128,56,k1 128,128,56,s2 128,512,28,k1 512,128,28,k1
ResNet-50: 256,512,56,k1,s2 512,256,28,k1 256,256,28,s2 256,1024,14,k1 1024,256,14,k1 512,1024,28,k1,s2 1024,512,14,k1
ResNet-50: 512,512,14,s2 512,2048,7,k1 2048,512,7,k1 1024,2048,14,k1,s2 2048,1000
ResNet-20: 3,16,32,* 16,16,32 16,32,32,s2 32,32,16 32,64,16,s2 64,64,8
DenseNet-121: 128,32,56 96,128,56,k1 160,128,56,k1 256,128,56,k1 128,32,28 256,128,28,k1 512,256,28,k1 128,32,14
DenseNet-121: 512,128,14,k1 1024,512,14,k1 128,32,7 1024,128,7,k1
MobileNetV2: 3,32,224,s2,* 32,32,112,g32 32,16,112,k1 16,96,112,k1 96,96,112,s2,g96 96,24,56,k1 24,144,56,k1
MobileNetV2: 144,144,56,g144 144,24,56,k1 144,144,56,s2,g144 144,32,28,k1 32,192,28,k1 192,192,28,g192 192,64,14,k1
MobileNetV2: 64,384,14,k1 384,384,14,g384 384,96,14,k1 576,576,14,g576 576,160,7,k1 160,960,7,k1 960,960,7,g960
MobileNetV2: 960,320,7,k1 320,1280,7,k1 1280,1000
EfficientNet-B0: 144,144,56,k5,s2,g144 240,240,28,k5,g240 240,240,28,s2,g240 480,480,14,k5,g480 672,672,14,k5,s2,g672
EfficientNet-B0: 40,240,28,k1 240,80,14,k1 80,480,14,k1 112,672,14,k1 672,192,7,k1 192,1152,7,k1 1152,1152,7,k5,g1152
ConvNeXt-T: 3,96,224,k4,s4,p0,* 96,96,56,k7,g96 96,384,x3136 384,96,x3136 96,192,56,k2,s2,p0 192,192,28,k7,g192
ConvNeXt-T: 192,768,x784 384,384,14,k7,g384 384,1536,x196 768,768,7,k7,g768 768,3072,x49
U-Net: 3,64,128,* 64,64,128 64,128,64 128,128,64 256,256,32 512,512,16 1024,512,16 256,128,64 128,64,128 64,2,128,k1
ViT-Ti: 3,192,224,k16,s16,p0,* 192,576,x197 192,192,x197 192,768,x197 768,192,x197 192,1000
"""


def _layer(network: str, words: str) -> Layer:
    numbers: list[int] = []
    settings, is_first = {"k": 3, "s": 1, "g": 1, "x": 1}, False
    for word in words.split(","):
        if word == "*":
            is_first = True
        elif word[0].isalpha():
            settings[word[0]] = int(word[1:])
        else:
            numbers.append(int(word))
    c_in, c_out, *size = numbers
    if not size:
        return Layer(network, c_in, c_out, rows=settings["x"], is_first=is_first)
    kernel = settings["k"]
    return Layer(
        network,
        c_in,
        c_out,
        size[0],
        kernel,
        settings["s"],
        padding=settings.get("p", kernel // 2),
        groups=settings["g"],
        is_first=is_first,
    )


def _layers() -> tuple[Layer, ...]:
    found: dict[tuple[object, ...], Layer] = {}
    for line in _TABLE.strip().splitlines():
        network, words = line.split(": ")
        for word in words.split():
            layer = _layer(network, word)
            found.setdefault((layer.name, layer.padding, layer.is_first), layer)
    return tuple(found.values())


LAYERS = _layers()
