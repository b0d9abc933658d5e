"""torch.optim: PyTorch's optimisers and schedules, which run fastnn's.

optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim import lr_scheduler
from fastnn.compat.torch.optim._more import ASGD, Adamax, RAdam, Rprop
from fastnn.compat.torch.optim.lbfgs import LBFGS
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.compat.torch.optim.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Muon, NAdam, RMSprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]

_BY_ADAM = "use torch.optim.Adam or torch.optim.NAdam"
__getattr__ = missing(
    __name__,
    {
        "Adafactor": _BY_ADAM,
        "SparseAdam": "use torch.optim.Adam: gradients are dense here",
    },
    modules=("swa_utils",),
)
