"""Channels dealt out to groups."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["ChannelShuffle"]

__getattr__ = missing(__name__, ABSENT)


class ChannelShuffle(Module):
    """Channels dealt out to the groups in turn"""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
