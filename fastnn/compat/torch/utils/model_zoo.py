"""torch.utils.model_zoo: weights from elsewhere, which are not fetched here."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.hub import FETCH

__all__: list[str] = []

__getattr__ = missing(__name__, {"load_url": FETCH})
