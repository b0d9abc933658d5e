"""What a loss wants of a network's outputs."""

from typing import Any

from fastnn import nn

__all__ = ["ignored_label", "is_of_classes", "wants"]

_WANTS = {
    "CrossEntropyLoss": "scores",
    "FocalLoss": "scores",
    "cross_entropy": "scores",
    "focal_loss": "scores",
    "MultiMarginLoss": "margins",
    "multi_margin_loss": "margins",
    "NLLLoss": "log-probabilities",
    "nll_loss": "log-probabilities",
    "BCEWithLogitsLoss": "binary scores",
    "binary_cross_entropy_with_logits": "binary scores",
}


def wants(criterion: Any) -> str:
    """'scores' before softmax, 'margins', 'log-probabilities', 'binary scores'; '' if nobody knows.

    Example:
        >>> wants(nn.CrossEntropyLoss()), wants(nn.MSELoss())
        ('scores', '')
    """
    names = [getattr(criterion, "__name__", ""), *(kind.__name__ for kind in type(criterion).__mro__)]
    return next((_WANTS[name] for name in names if name in _WANTS), "")


def is_of_classes(criterion: Any) -> bool:
    """Whether integer targets are classes, one for each row of outputs."""
    return wants(criterion) in ("scores", "margins", "log-probabilities")


def ignored_label(criterion: Any) -> int:
    """The label that counts in nothing."""
    return int(getattr(criterion, "ignore_index", -100)) if isinstance(criterion, nn.Module) else -100
