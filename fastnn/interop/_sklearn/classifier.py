"""The classifier."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from fastnn import nn
from fastnn.interop._sklearn.estimator import NetEstimator
from fastnn.interop._sklearn.settings import Settings

__all__ = ["NetClassifier"]

# Better than 0 on small tables: on the digits of scikit-learn 95.6 instead of 93.8 % in 5 folds. More costs log loss.
_LABEL_SMOOTHING = 0.05


class NetClassifier(ClassifierMixin, NetEstimator):
    """A network as a classifier of scikit-learn.

    It works in pipelines, searches and ensembles, and passes scikit-learn's `check_estimator`. Labels may be numbers or
    texts. A network computes in float32.

    Args:
        network: what is trained. A function (or class) `network(input_shape, n_outputs)` that makes a module for inputs
            of shape (N, *input_shape), with scores of shape (N, n_outputs), one for each class; or a module, of which
            every `fit` trains a copy that begins with the module's weights. None (default) is `hidden_layer_sizes` for
            tables, and for images up to three stages of two 3x3 convolutions before these layers.
        image_shape: (C, H, W), if the rows of X are images, flattened in this order. Default None: rows of X are
            features. An X of shape (rows, C, H, W) says it itself.
        hidden_layer_sizes: the numbers of units of the hidden layers with ReLU of the default network; () is a linear
            model. Default (128,).
        criterion: the loss, a module of `nn` or a function of (outputs, targets), where targets are integers in [0,
            n_outputs). Default `nn.CrossEntropyLoss(label_smoothing=0.05)`: a network fits every row of a small table,
            and smoothed labels keep it from becoming certain of them.
        class_weight: a dict {class: weight}, or 'balanced' for weights inversely proportional to the numbers of rows of
            the classes: factors for the loss. Default None: all count the same.
        optimizer: 'adamw' (default), 'adam', 'sgd' (with Nesterov momentum 0.9), or anything that is called as
            `optimizer(parameters, lr=learning_rate, weight_decay=weight_decay)`, such as `optim.Lion`.
        learning_rate: that of the first step. Default 0.003.
        schedule: 'cosine' (default) lets the learning rate fall to zero along half a cosine, 'constant' leaves it.
        weight_decay: how strongly the optimiser pulls weights to zero. Default 0.01.
        batch_size: the number of rows in a step. A single row that would remain at the end of an epoch is left out of
            that epoch. Default 'auto': a 64th of the rows, but between 32 and 128.
        epochs: how often `fit` goes through all rows, at most. Default 50.
        standardize: subtract from every feature (of images: every channel) its mean in the training rows, and divide by
            its standard deviation. Default True.
        augment: an augmentation of `fastnn.data` for images, or a list of them. Default None.
        early_stopping: hold some rows out, stop when the loss on these has not become smaller for `patience` epochs,
            and go back to the weights with the smallest. Default False.
        validation_fraction: the part of the rows that early stopping holds out, with the same proportions of classes.
            Default 0.1.
        patience: epochs without improvement after which early stopping ends the training. Default 10.
        warm_start: let `fit` go on with the network that there is, its standardisation and a new optimiser. Default
            False.
        random_state: an integer or a `RandomState` that determines the initial weights, the held out rows, the order of
            rows, dropout and augmentation. The same integer gives the same bits, with any number of threads. None
            (default) draws from fastnn's generator, which `fastnn.manual_seed` seeds. NumPy's global generator is left
            alone.
        verbose: show a progress bar on standard error. Default False.
        callbacks: `training.Callback` objects, called during `fit`. Default ().
    Attributes:
        network_: the trained network, in eval mode. Its input is (X - mean_) / scale_.
        mean_, scale_: of each feature, or of each channel; zeros and ones with standardize=False.
        history_: a `training.History`: loss and metrics of each epoch.
        loss_curve_: the mean training loss of each epoch.
        n_iter_: the number of epochs done.
        classes_: the classes, sorted: what the columns of probabilities belong to.
        n_outputs_: the number of outputs of the network.
        image_shape_: (C, H, W), or None for tables.
        n_features_in_: the number of features; of images C * H * W.
        feature_names_in_: the names of the columns of X, if it had some.
    Raises:
        ImportError: scikit-learn is not installed: `pip install "fastnn[sklearn]"`.
    Example:
        >>> from sklearn.datasets import load_iris
        >>> from fastnn.interop import NetClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = NetClassifier(epochs=30, random_state=0).fit(X, y)
        >>> classifier.score(X, y) > 0.9, classifier.predict_proba(X[:2]).shape
        (True, (2, 3))
    """

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: Any = None,
        hidden_layer_sizes: Any = (128,),
        criterion: Any = None,
        class_weight: Any = None,
        optimizer: Any = "adamw",
        learning_rate: float = 3e-3,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        batch_size: Any = "auto",
        epochs: int = 50,
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

    def fit(self, X: Any, y: Any) -> Self:
        """Train the network.

        The first Ctrl-C ends the training after the running step with a warning, and the estimator can be used; a
        second one raises KeyboardInterrupt at once.

        Args:
            X: a table (rows, features), or images (rows, C, H, W); see `image_shape` for images in rows.
            y: the labels, one for each row.
        Returns:
            The estimator itself.
        Raises:
            ValueError, TypeError: an argument, X or y is not what it should be.
            NonFiniteLoss: the training diverged.
        """
        return self._fit(X, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """One epoch on these rows, with a constant learning rate; the next call goes on from there.

        The first call makes the network, and its rows determine the standardisation of all.

        Args:
            X: a table or images, as for `fit`.
            y: the labels.
            classes: all labels that there will be; needed in the first call.
        Returns:
            The estimator itself.
        Raises:
            ValueError: classes are missing or other ones than before, or an argument does not fit to `partial_fit`.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "NetClassifier: class_weight='balanced' needs all rows at once, which partial_fit has not; "
                "give a dict {class: weight}"
            )
        if not hasattr(self, "network_"):
            if classes is None:
                raise ValueError("NetClassifier: the first call of partial_fit needs classes, those of all calls")
            self._given_classes = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(np.asarray(classes))):
            raise ValueError(f"NetClassifier: classes were {self.classes_} in the first call. Received: {classes}")
        try:
            return self._fit_once(X, y)
        finally:
            self.__dict__.pop("_given_classes", None)

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
        if settings.criterion is not None and self.class_weight is not None:
            raise ValueError("NetClassifier: class_weight is for the cross-entropy: leave criterion=None")
        if settings.criterion is not None:
            return settings.criterion, targets
        if self.class_weight is None:
            return nn.CrossEntropyLoss(label_smoothing=_LABEL_SMOOTHING), targets
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[targets])
        # As probabilities, whose losses are divided by the number of rows rather than by the weights in the batch.
        criterion = nn.CrossEntropyLoss(weight=weights.astype(np.float32), label_smoothing=_LABEL_SMOOTHING)
        return criterion, np.eye(len(weights), dtype=np.float32)[targets]

    # ---- predicting --------------------------------------------------------------------------------------------------
    def decision_function(self, X: Any) -> NDArray:
        """The scores before softmax: what is larger is more likely.

        Args:
            X: a table or images, as for `fit`.
        Returns:
            An array (rows, classes); of two classes (rows,), the score of the second minus that of the first.
        """
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if self.n_outputs_ == 2 else scores

    def predict(self, X: Any) -> NDArray:
        """The most probable class of each row.

        Args:
            X: a table or images, as for `fit`.
        Returns:
            An array (rows,) of labels.
        """
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X: Any) -> NDArray:
        """The logarithm of `predict_proba`, computed without underflow.

        Args:
            X: a table or images, as for `fit`.
        Returns:
            An array (rows, classes).
        """
        scores = self._outputs(X)
        scores -= scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> NDArray:
        """The probability of each class: the softmax of the scores.

        Args:
            X: a table or images, as for `fit`.
        Returns:
            An array (rows, classes); its columns are those of `classes_`.
        """
        return np.exp(self.predict_log_proba(X))
