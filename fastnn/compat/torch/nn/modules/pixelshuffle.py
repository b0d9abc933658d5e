"""Channels as pixels, and back."""

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["PixelShuffle", "PixelUnshuffle"]

__getattr__ = missing(__name__, ABSENT)


class PixelShuffle(array.PixelShuffle, Module):
    """Channels as pixels"""


class PixelUnshuffle(array.PixelUnshuffle, Module):
    """Pixels as channels"""
