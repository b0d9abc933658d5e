"""Networks as scikit-learn's estimators: for `Pipeline`, `GridSearchCV`, `cross_val_score` and all the rest."""

try:
    import sklearn.utils._tags  # noqa: F401  (since 1.6)
except ImportError as error:
    raise ImportError(
        "NetClassifier and NetRegressor need scikit-learn 1.6 or later, which is not installed: "
        'pip install "fastnn[sklearn]"'
    ) from error

from fastnn.interop._sklearn.classifier import NetClassifier
from fastnn.interop._sklearn.regressor import NetRegressor

__all__ = ["NetClassifier", "NetRegressor"]
