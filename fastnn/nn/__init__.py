"""Layers and losses: classes that hold parameters. The arithmetic and its gradients are in `fastnn.functional`."""

from fastnn.nn import init  # noqa: F401
from fastnn.nn.activation import *  # noqa: F403
from fastnn.nn.adaptive_pool2d import *  # noqa: F403
from fastnn.nn.avgpool2d import *  # noqa: F403
from fastnn.nn.batchnorm import *  # noqa: F403
from fastnn.nn.class_losses import *  # noqa: F403
from fastnn.nn.containers import *  # noqa: F403
from fastnn.nn.conv2d import *  # noqa: F403
from fastnn.nn.cross_entropy import *  # noqa: F403
from fastnn.nn.dropout import *  # noqa: F403
from fastnn.nn.flatten import *  # noqa: F403
from fastnn.nn.groupnorm import *  # noqa: F403
from fastnn.nn.layernorm import *  # noqa: F403
from fastnn.nn.linear import *  # noqa: F403
from fastnn.nn.local_response_norm import *  # noqa: F403
from fastnn.nn.losses import *  # noqa: F403
from fastnn.nn.maxpool2d import *  # noqa: F403
from fastnn.nn.module import *  # noqa: F403
from fastnn.nn.module_dict import *  # noqa: F403
from fastnn.nn.module_list import *  # noqa: F403
from fastnn.nn.parameter import *  # noqa: F403
from fastnn.nn.parameter_list import *  # noqa: F403
from fastnn.nn.softmax import *  # noqa: F403
