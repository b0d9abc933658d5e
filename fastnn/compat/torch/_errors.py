"""Exceptions that scripts name, and that nothing here raises."""

__all__ = ["AcceleratorError", "OutOfMemoryError"]


class OutOfMemoryError(RuntimeError):
    """What PyTorch raises when a GPU has no memory left; nothing here does, but scripts are ready for it."""


class AcceleratorError(RuntimeError):
    """What PyTorch raises when a GPU fails; nothing here does."""
