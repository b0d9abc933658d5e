"""Networks as scikit-learn's estimators: for `Pipeline`, `GridSearchCV`, `cross_val_score` and all the rest."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
except ImportError as error:
    raise ImportError(
        "NetClassifier and NetRegressor need scikit-learn, 1.6 or later, which is not installed: "
        'pip install "fastnn[sklearn]"'
    ) from error

from fastnn import nn
from fastnn.interop._estimator import NetEstimator
from fastnn.interop._settings import Settings

__all__ = ["NetClassifier", "NetRegressor"]


class NetClassifier(ClassifierMixin, NetEstimator):
    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: Any = None,
        hidden_layer_sizes: Any = (128,),
        criterion: Any = None,
        class_weight: Any = None,
        optimizer: Any = "adamw",
        learning_rate: float = 1e-3,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        batch_size: Any = "auto",
        epochs: int = 100,
        standardize: bool = True,
        augment: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        callbacks: Any = (),
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.hidden_layer_sizes = hidden_layer_sizes
        self.criterion = criterion
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.standardize = standardize
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        if not hasattr(self, "network_"):
            if classes is None:
                raise ValueError("NetClassifier: the first call of partial_fit needs classes, those of all calls")
            self._given_classes = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(np.asarray(classes))):
            raise ValueError(f"NetClassifier: classes were {self.classes_} in the first call. Received: {classes}")
        if isinstance(self.class_weight, str):
            raise ValueError(
                "NetClassifier: class_weight='balanced' needs all rows at once, which partial_fit has not; "
                "give a dict {class: weight}"
            )
        try:
            return self._fit_once(X, y)
        finally:
            vars(self).pop("_given_classes", None)

    def _target_rules(self) -> dict[str, Any]:
        return {}

    def _encoded(self, y: NDArray, reset: bool) -> NDArray:
        check_classification_targets(y)
        if reset:
            classes = vars(self).get("_given_classes")
            self.classes_ = np.unique(y) if classes is None else classes
            self.n_outputs_ = len(self.classes_)
            if self.n_outputs_ < 2:
                raise ValueError(
                    f"NetClassifier: y must have at least two classes. Received: 1 class, {self.classes_[0]!r}"
                )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"NetClassifier: y has classes that are not among {self.classes_}. Received: {unknown}")
        return np.searchsorted(self.classes_, y)

    def _stratum(self, targets: NDArray) -> NDArray:
        return targets

    def _prepare_criterion(self, settings: Settings, targets: NDArray) -> tuple[Any, NDArray]:
        if self.class_weight is None:
            return settings.criterion or nn.CrossEntropyLoss(), targets
        if settings.criterion is not None:
            raise ValueError("NetClassifier: class_weight is for the cross-entropy: leave criterion=None")
        weights = compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[targets]
        )
        # As probabilities, whose losses are divided by the number of rows rather than by the weights in the batch.
        return nn.CrossEntropyLoss(weight=weights.astype(np.float32)), np.eye(len(weights), dtype=np.float32)[targets]

    # ---- predicting --------------------------------------------------------------------------------------------------
    def decision_function(self, X: Any) -> NDArray:
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if self.n_outputs_ == 2 else scores

    def predict(self, X: Any) -> NDArray:
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X: Any) -> NDArray:
        scores = self._outputs(X)
        scores -= scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> NDArray:
        return np.exp(self.predict_log_proba(X))


class NetRegressor(RegressorMixin, NetEstimator):
    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: Any = None,
        hidden_layer_sizes: Any = (128,),
        criterion: Any = None,
        optimizer: Any = "adamw",
        learning_rate: float = 1e-3,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        batch_size: Any = "auto",
        epochs: int = 100,
        standardize: bool = True,
        augment: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        callbacks: Any = (),
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.hidden_layer_sizes = hidden_layer_sizes
        self.criterion = criterion
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.standardize = standardize
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any) -> Self:
        return self._fit_once(X, y)

    def _target_rules(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _encoded(self, y: NDArray, reset: bool) -> NDArray:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        if reset:
            self.n_outputs_ = targets.shape[1]
            self._target_ndim = y.ndim
            self._target_scaler = StandardScaler(with_mean=self.standardize, with_std=self.standardize).fit(targets)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"NetRegressor: y had {self.n_outputs_} numbers for each row in the first training. "
                f"Received: y.shape={y.shape}"
            )
        return self._target_scaler.transform(targets).astype(np.float32)

    def _prepare_criterion(self, settings: Settings, targets: NDArray) -> tuple[Any, NDArray]:
        return settings.criterion or nn.MSELoss(), targets

    def predict(self, X: Any) -> NDArray:
        outputs = self._outputs(X)
        outputs = self._target_scaler.inverse_transform(outputs)
        return outputs[:, 0] if self._target_ndim == 1 else outputs
