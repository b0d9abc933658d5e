"""The readable NumPy twin of every function in `fastnn.functional`: its documentation and its oracle.

Written to be understood and to be obviously right. Nothing is checked here, nothing is fast here, and nothing here
calls the compiled module. `with fastnn.backend("reference"):` runs a whole program on it.
"""

from fastnn.reference.activation import *  # noqa: F403
from fastnn.reference.adaptive_pool2d import *  # noqa: F403
from fastnn.reference.add import *  # noqa: F403
from fastnn.reference.attention import *  # noqa: F403
from fastnn.reference.augment import *  # noqa: F403
from fastnn.reference.avgpool2d import *  # noqa: F403
from fastnn.reference.batchnorm import *  # noqa: F403
from fastnn.reference.batchnorm_activation import *  # noqa: F403
from fastnn.reference.class_losses import *  # noqa: F403
from fastnn.reference.conv2d import *  # noqa: F403
from fastnn.reference.conv_transpose2d import *  # noqa: F403
from fastnn.reference.cross_entropy import *  # noqa: F403
from fastnn.reference.dropout import *  # noqa: F403
from fastnn.reference.embedding import *  # noqa: F403
from fastnn.reference.groupnorm import *  # noqa: F403
from fastnn.reference.hard_activation import *  # noqa: F403
from fastnn.reference.im2col import *  # noqa: F403
from fastnn.reference.instance_norm import *  # noqa: F403
from fastnn.reference.interpolate import *  # noqa: F403
from fastnn.reference.layernorm import *  # noqa: F403
from fastnn.reference.linear import *  # noqa: F403
from fastnn.reference.local_response_norm import *  # noqa: F403
from fastnn.reference.losses import *  # noqa: F403
from fastnn.reference.maxpool2d import *  # noqa: F403
from fastnn.reference.mish import *  # noqa: F403
from fastnn.reference.optimizer import *  # noqa: F403
from fastnn.reference.pad import *  # noqa: F403
from fastnn.reference.pixel_shuffle import *  # noqa: F403
from fastnn.reference.recurrent import *  # noqa: F403
from fastnn.reference.rms_norm import *  # noqa: F403
from fastnn.reference.softmax import *  # noqa: F403
from fastnn.reference.winograd import *  # noqa: F403
