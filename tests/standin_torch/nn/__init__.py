from standin_torch.nn import functional as functional


class Module:
    def __init__(self):
        self.training = True

    def train(self, mode=True):
        return self


class Linear(Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()


class Conv2d(Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()


def __getattr__(name):
    if name == "FractionalMaxPool2d":
        raise AttributeError("nn.FractionalMaxPool2d is not in fastnn: use nn.MaxPool2d")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
