"""torch.optim: PyTorch's optimisers and schedules, which run fastnn's.

optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim import lr_scheduler
from fastnn.compat.torch.optim._muon import Muon
from fastnn.compat.torch.optim.adadelta import Adadelta
from fastnn.compat.torch.optim.adagrad import Adagrad
from fastnn.compat.torch.optim.adam import Adam
from fastnn.compat.torch.optim.adamax import Adamax
from fastnn.compat.torch.optim.adamw import AdamW
from fastnn.compat.torch.optim.asgd import ASGD
from fastnn.compat.torch.optim.lbfgs import LBFGS
from fastnn.compat.torch.optim.nadam import NAdam
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.compat.torch.optim.radam import RAdam
from fastnn.compat.torch.optim.rmsprop import RMSprop
from fastnn.compat.torch.optim.rprop import Rprop
from fastnn.compat.torch.optim.sgd import SGD

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
