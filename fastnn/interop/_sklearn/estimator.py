"""What the classifier and the regressor have in common: how they train and how they predict."""

import copy
import signal
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastnn import _check, _random, data, nn, optim
from fastnn.interop._sklearn.default_networks import default_network
from fastnn.interop._sklearn.inputs import Scaling, validated
from fastnn.interop._sklearn.settings import Settings, checked
from fastnn.training import Callback, EarlyStopping, History, Interrupted, Trainer, predict
from fastnn.training.evaluate import eval_mode

__all__ = ["NetEstimator"]

_SEEDS = 2**31 - 1
# Rows that go through the network at once when it predicts.
_ROWS, _IMAGES = 4096, 256
# Kernels for small batches sum in another order. With this many rows at least, the prediction for a row is the same,
# bit for bit, whatever rows it is computed with.
_FEWEST = 64


class NetEstimator(BaseEstimator):
    """Training, and the outputs of the network. Subclasses say what targets are and what outputs mean."""

    # Set by the subclasses' __init__; see there.
    network: Any
    image_shape: Any
    augment: Any
    random_state: Any
    # Found by training.
    network_: nn.Module
    history_: History
    n_iter_: int
    n_outputs_: int
    image_shape_: tuple[int, int, int] | None
    _scaling: Scaling
    _optimizer: optim.Optimizer | None  # of partial_fit, whose next call goes on with it
    _generator: np.random.Generator

    # ---- to be written by subclasses ---------------------------------------------------------------------------------
    def _encoded(self, y: NDArray, reset: bool) -> NDArray:
        """Targets as the criterion takes them; with `reset`, find out first what there is to encode."""
        raise NotImplementedError

    def _prepare_criterion(self, settings: Settings, targets: NDArray) -> tuple[Any, NDArray]:
        """The criterion, and the targets for it."""
        raise NotImplementedError

    def _target_rules(self) -> dict[str, Any]:
        """How y is validated."""
        raise NotImplementedError

    def _stratum(self, targets: NDArray) -> NDArray | None:
        """What a split into training and validation rows keeps the proportions of."""
        return None

    # ---- training ----------------------------------------------------------------------------------------------------
    def _fit(self, X: Any, y: Any) -> Self:
        """All epochs on these rows, with a new network unless the training is to go on."""
        settings = checked(self)
        goes_on = settings.warm_start and hasattr(self, "network_")
        X, targets = self._begin(X, y, settings, goes_on)
        self._optimizer = None
        self._train(X, targets, settings, goes_on, settings.epochs)
        return self

    def _fit_once(self, X: Any, y: Any) -> Self:
        """One epoch on these rows; the first time with a new network."""
        settings = checked(self)
        owner = type(self).__name__
        if settings.early_stopping:
            raise ValueError(f"{owner}: partial_fit is one epoch, which early_stopping=True cannot end")
        goes_on = hasattr(self, "network_")
        X, targets = self._begin(X, y, settings, goes_on)
        if not goes_on:
            self._optimizer = None
        self._train(X, targets, settings._replace(falls=False), goes_on, 1, keeps_optimizer=True)
        return self

    def _begin(self, X: Any, y: Any, settings: Settings, goes_on: bool) -> tuple[NDArray, NDArray]:
        """The rows and the targets, checked."""
        image_shape = self.image_shape_ if goes_on else settings.image_shape
        (X, y), image_shape = validated(self, image_shape, not goes_on, X, y=y, **self._target_rules())
        if not goes_on:
            self.__dict__.pop("network_", None)  # whatever fails from here on leaves no half of each
            self.image_shape_ = image_shape
        return X, self._encoded(y, reset=not goes_on)

    def _train(
        self,
        X: NDArray,
        targets: NDArray,
        settings: Settings,
        goes_on: bool,
        epochs: int,
        keeps_optimizer: bool = False,
    ) -> None:
        if not goes_on:
            self._generator = self._new_generator()
        train, held_out = self._split(len(X), targets, settings)
        with _random.drawing_from(self._generator):
            if not goes_on:
                scaling = Scaling.of(type(self).__name__, X[train], self.image_shape_, settings.standardize)
                network = self._new_network(scaling, settings, X[train])
            else:
                scaling, network = self._scaling, self.network_
            criterion, targets = self._prepare_criterion(settings, targets)
            optimizer = settings.make_optimizer(network) if self._optimizer is None else self._optimizer
            loader = self._loader(X[train], targets[train], scaling, settings, trains=True)
            callbacks: list[Callback] = list(settings.callbacks)
            stopping = EarlyStopping("val_loss", settings.patience) if settings.early_stopping else None
            callbacks += [stopping] if stopping else []
            trainer = Trainer(
                network,
                criterion,
                optimizer,
                optim.CosineAnnealingLR(optimizer, epochs * len(loader)) if settings.falls else None,
                scheduler_interval="step",
                callbacks=callbacks,
                progress=settings.verbose,
            )
            held_out_loader = self._loader(X[held_out], targets[held_out], scaling, settings) if stopping else None
            _run(type(self).__name__, trainer, loader, epochs, held_out_loader, stopping)
        network.eval()
        network.forget()
        network.zero_grad()
        self._scaling, self.network_ = scaling, network
        self._optimizer = optimizer if keeps_optimizer else None
        self.history_ = _continued(self.history_, trainer.history) if goes_on else trainer.history
        self.n_iter_ = len(self.history_)

    def _new_generator(self) -> np.random.Generator:
        """That of initial weights, orders of rows, dropout and augmentation. NumPy's global one is left alone."""
        if self.random_state is None:
            seed = _random.generator().integers(_SEEDS)
        else:
            seed = check_random_state(self.random_state).randint(_SEEDS)
        return np.random.Generator(np.random.PCG64(int(seed)))

    def _new_network(self, scaling: Scaling, settings: Settings, rows: NDArray) -> nn.Module:
        owner, given, shape, n_outputs = type(self).__name__, self.network, scaling.input_shape, self.n_outputs_
        network: Any = given
        if given is None:
            network = default_network(shape, n_outputs, settings.hidden_layer_sizes)
        elif isinstance(given, nn.Module):
            network = copy.deepcopy(given)
        elif callable(given):
            network = given(shape, n_outputs)
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"{owner}: network must be an nn.Module, or a function (input_shape, n_outputs) that makes one. "
                f"Received: {_check.shown(network)}"
            )
        x = scaling(owner, rows[:2])
        with eval_mode(network):
            outputs = predict(network, x)
        if not isinstance(outputs, np.ndarray) or outputs.shape != (len(x), n_outputs):
            found = outputs.shape[1:] if isinstance(outputs, np.ndarray) else type(outputs).__name__
            raise ValueError(
                f"{owner}: the network must give {n_outputs} numbers for each row, of shape {shape}. Received: {found}"
            )
        return network

    def _split(self, n_rows: int, targets: NDArray, settings: Settings) -> tuple[Any, Any]:
        """The indices of the rows that are trained on, and of those that early stopping looks at."""
        if not settings.early_stopping:
            return slice(None), None
        seed = int(self._generator.integers(_SEEDS))
        fraction, stratum = settings.validation_fraction, self._stratum(targets)
        try:
            return train_test_split(np.arange(n_rows), test_size=fraction, random_state=seed, stratify=stratum)
        except ValueError as error:
            owner = type(self).__name__
            raise ValueError(
                f"{owner}: early_stopping cannot hold out {fraction:g} of {n_rows} rows; give more rows, another "
                f"validation_fraction, or early_stopping=False. {error}"
            ) from None

    def _loader(
        self, X: NDArray, targets: NDArray, scaling: Scaling, settings: Settings, trains: bool = False
    ) -> data.Loader:
        owner = type(self).__name__
        size = settings.rows_in_batch(len(X)) if trains else _ROWS if scaling.image_shape is None else _IMAGES
        statistics = (None, None) if scaling.image_shape is None else (scaling.mean, scaling.scale)
        augment = self.augment if trains else None
        if augment is not None and scaling.image_shape is None:
            raise ValueError(f"{owner}: only images can be augmented: give X of shape (rows, C, H, W), or image_shape")
        return data.Loader(
            scaling.raw(owner, X),
            targets,
            batch_size=size,
            shuffle=trains,
            # A batch of one row has no variance, which batch norm needs.
            drop_last=trains and len(X) > size > 1 and len(X) % size == 1,
            augment=augment,
            seed=int(self._generator.integers(_SEEDS)) if trains else 0,
            mean=statistics[0],
            std=statistics[1],
            prefetch=augment is not None,
        )

    # ---- predicting --------------------------------------------------------------------------------------------------
    def _outputs(self, X: Any) -> NDArray:
        """What the network gives for each row, float64."""
        check_is_fitted(self)
        rows, _ = validated(self, self.image_shape_, False, X)
        owner, size = type(self).__name__, _ROWS if self.image_shape_ is None else _IMAGES
        parts = []
        for begin in range(0, len(rows), size):
            x = self._scaling(owner, rows[begin : begin + size])
            n = len(x)
            if n < _FEWEST:
                x = np.resize(x, (_FEWEST, *x.shape[1:]))  # the rows over and over again
            parts.append(np.array(predict(self.network_, x)[:n], np.float64))
        return np.concatenate(parts)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    @property
    def mean_(self) -> NDArray:
        """What is subtracted from the input: (features,) or (channels,)."""
        check_is_fitted(self)
        return self._scaling.mean

    @property
    def scale_(self) -> NDArray:
        """What the input is divided by, after that: (features,) or (channels,)."""
        check_is_fitted(self)
        return self._scaling.scale

    @property
    def loss_curve_(self) -> list[float]:
        """The mean training loss of each epoch."""
        check_is_fitted(self)
        return self.history_["train_loss"] if len(self.history_) else []


def _run(owner: str, trainer: Trainer, loader: Any, epochs: int, held_out: Any, stopping: EarlyStopping | None) -> None:
    """Train until the end, or until Ctrl-C, after which there is a warning."""
    try:
        trainer.fit(loader, epochs, held_out)
    except Interrupted as interrupted:
        if interrupted.signal_number != signal.SIGINT:
            raise
        if stopping:
            stopping.on_fit_end(trainer)
        weights = "its best weights" if stopping else "the weights of that step"
        warnings.warn(
            f"{owner}: training interrupted after step {trainer.step} of {trainer.total_steps}; "
            f"the estimator has {weights}",
            UserWarning,
            stacklevel=4,
        )


def _continued(before: History, after: History) -> History:
    """The epochs of two trainings of one network, numbered on."""
    return History([*before.rows, *({**row, "epoch": row["epoch"] + len(before)} for row in after.rows)])
