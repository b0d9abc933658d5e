"""The regressor."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from fastnn import nn
from fastnn.interop._sklearn.estimator import NetEstimator
from fastnn.interop._sklearn.inputs import standard
from fastnn.interop._sklearn.settings import Settings

__all__ = ["NetRegressor"]


class NetRegressor(RegressorMixin, NetEstimator):
    """A network as a regressor of scikit-learn, for one number in each row or several.

    It works in pipelines, searches and ensembles, and passes scikit-learn's `check_estimator`. A network computes in
    float32.

    Args:
        network: what is trained. A function (or class) `network(input_shape, n_outputs)` that makes a module for inputs
            of shape (N, *input_shape), with outputs of shape (N, n_outputs); or a module, of which every `fit` trains a
            copy that begins with the module's weights. None (default) is `hidden_layer_sizes` for tables, and for
            images up to three stages of two 3x3 convolutions before these layers.
        image_shape: (C, H, W), if the rows of X are images, flattened in this order. Default None: rows of X are
            features. An X of shape (rows, C, H, W) says it itself.
        hidden_layer_sizes: the numbers of units of the hidden layers with ReLU of the default network; () is a linear
            model. Default (128,).
        criterion: the loss, a module of `nn` or a function of (outputs, targets), where targets have the shape of the
            outputs. Default `nn.MSELoss()`.
        optimizer: 'adamw' (default), 'adam', 'sgd' (with Nesterov momentum 0.9), or anything that is called as
            `optimizer(parameters, lr=learning_rate, weight_decay=weight_decay)`, such as `optim.Lion`.
        learning_rate: that of the first step. Default 0.003.
        schedule: 'cosine' (default) lets the learning rate fall to zero along half a cosine, 'constant' leaves it.
        weight_decay: how strongly the optimiser pulls weights to zero. Default 0.01.
        batch_size: the number of rows in a step. A single row that would remain at the end of an epoch is left out of
            that epoch. Default 'auto': a 64th of the rows, but between 32 and 128.
        epochs: how often `fit` goes through all rows, at most. Default 50.
        standardize: subtract from every feature (of images: every channel) its mean in the training rows, and divide by
            its standard deviation. The targets are standardised, too; predictions have the targets' own scale. Default
            True.
        augment: an augmentation of `fastnn.data` for images, or a list of them. Default None.
        early_stopping: hold some rows out, stop when the loss on these has not become smaller for `patience` epochs,
            and go back to the weights with the smallest. Default False.
        validation_fraction: the part of the rows that early stopping holds out. Default 0.1.
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
        target_mean_, target_scale_: predictions are target_mean_ + target_scale_ * output of the network.
        mean_, scale_: of each feature, or of each channel; zeros and ones with standardize=False.
        history_: a `training.History`: loss and metrics of each epoch.
        loss_curve_: the mean training loss of each epoch.
        n_iter_: the number of epochs done.
        n_outputs_: the number of outputs of the network.
        image_shape_: (C, H, W), or None for tables.
        n_features_in_: the number of features; of images C * H * W.
        feature_names_in_: the names of the columns of X, if it had some.
    Raises:
        ImportError: scikit-learn is not installed: `pip install "fastnn[sklearn]"`.
    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> from fastnn.interop import NetRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> regressor = NetRegressor(epochs=30, random_state=0).fit(X, y)
        >>> regressor.score(X, y) > 0.4, regressor.predict(X[:2]).shape
        (True, (2,))
    """

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: Any = None,
        hidden_layer_sizes: Any = (128,),
        criterion: Any = None,
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

    def fit(self, X: Any, y: Any) -> Self:
        """Train the network.

        The first Ctrl-C ends the training after the running step with a warning, and the estimator can be used; a
        second one raises KeyboardInterrupt at once.

        Args:
            X: a table (rows, features), or images (rows, C, H, W); see `image_shape` for images in rows.
            y: the numbers to predict, (rows,) or (rows, n).
        Returns:
            The estimator itself.
        Raises:
            ValueError, TypeError: an argument, X or y is not what it should be.
            NonFiniteLoss: the training diverged.
        """
        return self._fit(X, y)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """One epoch on these rows, with a constant learning rate; the next call goes on from there.

        The first call makes the network, and its rows determine the standardisation of all.

        Args:
            X: a table or images, as for `fit`.
            y: the targets.
        Returns:
            The estimator itself.
        Raises:
            ValueError: an argument does not fit to `partial_fit`.
        """
        return self._fit_once(X, y)

    def _target_rules(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _encoded(self, y: NDArray, reset: bool) -> NDArray:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        if reset:
            self.n_outputs_ = targets.shape[1]
            self._target_ndim = y.ndim
            self.target_mean_, self.target_scale_ = standard("NetRegressor", "y", targets, self.standardize)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"NetRegressor: y had {self.n_outputs_} numbers for each row in the first training. "
                f"Received: y.shape={y.shape}"
            )
        return ((targets - self.target_mean_) / self.target_scale_).astype(np.float32)

    def _prepare_criterion(self, settings: Settings, targets: NDArray) -> tuple[Any, NDArray]:
        return nn.MSELoss() if settings.criterion is None else settings.criterion, targets

    def predict(self, X: Any) -> NDArray:
        """The predicted numbers.

        Args:
            X: a table or images, as for `fit`.
        Returns:
            An array (rows,), or (rows, n) if the targets had two dimensions.
        """
        outputs = self._outputs(X)
        outputs = self.target_mean_ + self.target_scale_ * outputs
        return outputs[:, 0] if self._target_ndim == 1 else outputs
