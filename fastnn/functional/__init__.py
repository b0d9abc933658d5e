"""What layers and optimisers compute, as functions: arguments are checked, results are fresh arrays.

Only the steps of optimisers change what they are given. Every function that has a kernel in C has a `_backward`
companion, which takes the gradient of the loss with respect to the result; the gradients of the others are found by
the tape. Everything has a readable NumPy twin of the same name in `fastnn.reference`, which is its definition.
"""

from fastnn.functional.activation import *  # noqa: F403
from fastnn.functional.adaptive_pool2d import *  # noqa: F403
from fastnn.functional.add import *  # noqa: F403
from fastnn.functional.attention import *  # noqa: F403
from fastnn.functional.augment import *  # noqa: F403
from fastnn.functional.avgpool2d import *  # noqa: F403
from fastnn.functional.batchnorm import *  # noqa: F403
from fastnn.functional.batchnorm_activation import *  # noqa: F403
from fastnn.functional.class_losses import *  # noqa: F403
from fastnn.functional.conv2d import *  # noqa: F403
from fastnn.functional.conv_transpose2d import *  # noqa: F403
from fastnn.functional.cross_entropy import *  # noqa: F403
from fastnn.functional.dropout import *  # noqa: F403
from fastnn.functional.embedding import *  # noqa: F403
from fastnn.functional.groupnorm import *  # noqa: F403
from fastnn.functional.hard_activation import *  # noqa: F403
from fastnn.functional.im2col import *  # noqa: F403
from fastnn.functional.instance_norm import *  # noqa: F403
from fastnn.functional.interpolate import *  # noqa: F403
from fastnn.functional.layernorm import *  # noqa: F403
from fastnn.functional.linear import *  # noqa: F403
from fastnn.functional.local_response_norm import *  # noqa: F403
from fastnn.functional.losses import *  # noqa: F403
from fastnn.functional.maxpool2d import *  # noqa: F403
from fastnn.functional.mish import *  # noqa: F403
from fastnn.functional.optimizer import *  # noqa: F403
from fastnn.functional.optimizer_numpy import *  # noqa: F403
from fastnn.functional.pad import *  # noqa: F403
from fastnn.functional.pixel_shuffle import *  # noqa: F403
from fastnn.functional.recurrent import *  # noqa: F403
from fastnn.functional.rms_norm import *  # noqa: F403
from fastnn.functional.softmax import *  # noqa: F403
