"""Write files with whatever PyTorch runs this, in the formats that it has: those beside this program.

python make_files_of_pytorch.py FOLDER      Python 2.7 or later
"""

import argparse
import collections
import sys

import numpy as np
import torch
from torch import nn, optim

DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
# PyTorch cannot read these from its old format.
LATER_DTYPES = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2"


def model_and_optimizers():
    """A model whose weights are counted, and optimizers after a step with gradients of one that changed nothing."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    model[2].bias.requires_grad = False
    for index, parameter in enumerate(model.parameters()):
        parameter.data.copy_(torch.arange(parameter.numel()).view(parameter.shape).float() + 100 * index)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam, sgd = optim.Adam(trained, lr=0.125), optim.SGD(trained, lr=0.25, momentum=0.5)
    for optimizer in (sgd, adam):
        for parameter in trained:
            parameter.grad = torch.ones_like(parameter)
        lr, optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"], 0.0
        optimizer.step()
        optimizer.param_groups[0]["lr"] = lr
    return model, adam, sgd


def content(dtypes):
    """Something of all that is read."""
    model, adam, sgd = model_and_optimizers()
    base = torch.arange(24).float()
    rows = base.view(2, 3, 4)
    dtypes = [name for name in dtypes if hasattr(torch, name)]
    return collections.OrderedDict([
        ("dtypes", {name: torch.tensor([0, 1, 96]).to(getattr(torch, name)) for name in dtypes}),
        ("base", base),
        ("rows", rows),
        ("permuted", rows.permute(2, 0, 1)),
        ("part", base[5:9]),
        ("steps", base[1::6]),
        ("expanded", torch.ones(1).expand(2, 3)),
        ("scalar", torch.tensor(7.5)),
        ("empty", torch.zeros(0, 3)),
        ("parameter", nn.Parameter(torch.arange(3).float())),
        ("frozen", nn.Parameter(torch.arange(3).float(), requires_grad=False)),
        ("leaf", torch.ones(2, requires_grad=True)),
        ("model", model.state_dict()),
        ("adam", adam.state_dict()),
        ("sgd", sgd.state_dict()),
        ("scheduler", optim.lr_scheduler.StepLR(adam, 3).state_dict()),
        ("size", base.shape),
        ("dtype", torch.float32),
        ("device", torch.device("cuda", 1)),
        ("plain", [1, -1, 2**40, 2.5, True, None, "text", b"\xc3\xbcn\xc3\xaf".decode("utf-8"), (1, (2,)), {3},
                   {"a": {1: "b"}}]),
        ("numpy", [np.float64(1.5), np.arange(6.0).reshape(2, 3), np.array([True, False])]),
        ("namespace", argparse.Namespace(lr=0.5, name="a")),
    ])  # fmt: skip


def main(folder):
    name = "-".join([torch.__version__.partition("+")[0], "python" + str(sys.version_info[0])])
    for form, new, dtypes in (("zip", True, DTYPES + " " + LATER_DTYPES), ("old", False, DTYPES)):
        value = content(dtypes.split())
        path = folder + "/" + name + "-" + form + ".pth"
        try:
            torch.save(value, path, _use_new_zipfile_serialization=new)
        except TypeError:  # of a PyTorch that has one format
            if not new:
                torch.save(value, path)


if __name__ == "__main__":
    main(sys.argv[1])
