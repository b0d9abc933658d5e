"""All layers, by the names of `torch.nn.modules`."""

# ruff: noqa: F403 (what is here is made elsewhere)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.activation import *
from fastnn.compat.torch.nn.modules.batchnorm import *
from fastnn.compat.torch.nn.modules.channelshuffle import *
from fastnn.compat.torch.nn.modules.container import *
from fastnn.compat.torch.nn.modules.conv import *
from fastnn.compat.torch.nn.modules.distance import *
from fastnn.compat.torch.nn.modules.dropout import *
from fastnn.compat.torch.nn.modules.flatten import *
from fastnn.compat.torch.nn.modules.fold import *
from fastnn.compat.torch.nn.modules.instancenorm import *
from fastnn.compat.torch.nn.modules.linear import *
from fastnn.compat.torch.nn.modules.loss import *
from fastnn.compat.torch.nn.modules.module import *
from fastnn.compat.torch.nn.modules.normalization import *
from fastnn.compat.torch.nn.modules.padding import *
from fastnn.compat.torch.nn.modules.pixelshuffle import *
from fastnn.compat.torch.nn.modules.pooling import *
from fastnn.compat.torch.nn.modules.rnn import *
from fastnn.compat.torch.nn.modules.sparse import *
from fastnn.compat.torch.nn.modules.transformer import *
from fastnn.compat.torch.nn.modules.upsampling import *

__getattr__ = missing(__name__, ABSENT)
