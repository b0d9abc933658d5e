"""TensorBoard: what happens in a training, as files that TensorBoard shows in a browser."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fastnn import _arguments, _check, nn
from fastnn.interop._tensorboard.event_file import EventFile, import_tensorboardx
from fastnn.interop._tensorboard.graph import Graph, evaluating, graph_of
from fastnn.interop._tensorboard.hparams import checked_settings, settings_of
from fastnn.interop._tensorboard.pictures import Examples, filters_of, pixels_of
from fastnn.training._arguments import path_of
from fastnn.training.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.training.plan import Run
    from fastnn.training.trainer import Trainer

__all__ = ["TensorBoard", "board_of_recipe", "import_tensorboardx"]

_EXAMPLES = 16  # images with predictions, in the training of a recipe


class TensorBoard(Callback):
    """Writes a training for TensorBoard: curves, histograms, pictures, the graph of the network, hyper-parameters.

    `tensorboard --logdir runs` then shows all runs below that folder, while they train and afterwards. tensorboardX
    writes the files: `pip install "fastnn[tensorboard]"`. TensorBoard itself, `pip install tensorboard`, may be on
    another machine.

    A folder is a run. A training that is resumed goes on with the curves in the same folder: what was written after its
    checkpoint is hidden. A new training in the same folder hides the old one. Files are flushed after each epoch, and
    closed when the training ends, however it does.

    | tag | what | when |
    |---|---|---|
    | `step/loss`, `step/images_per_second` | means over the last `every` steps | every `every` steps |
    | `step/learning_rate` | that of the last step; `_0`, `_1`, ... if there are several groups | every `every` steps |
    | `step/gradient_norm` | over all parameters, after clipping | with `gradients` |
    | `gradient_norms/<path>` | of each parameter | with `gradients` |
    | `epoch/<column>` | the numbers of the history; losses and metrics | each epoch |
    | `weights/<path>`, `gradients/<path>` | histograms; gradients of the last step | with `histograms` |
    | `filters/<path>` | the filters of the first convolution | with `filters` |
    | `predictions` | images with predicted classes | with `predictions` |

    Args:
        log_dir: the folder of the run; made if missing.
        every: steps between two points of a curve.
        gradients: write the norms of gradients.
        histograms: write histograms of weights and gradients.
        filters: draw the filters of the first convolution.
        predictions: a few images, as the network gets them, and their classes: (x, labels), or x alone.
        class_names: the names of the classes; by default those of `model.preprocessing`, or numbers.
        every_epochs: epochs between two histograms or pictures, which are also made before the first step.
        graph: write the graph of the network and the loss, from the first step.
        hparams: settings by name, for the table of hyper-parameters: numbers, texts, booleans. Those that the trainer
            knows are there by themselves: the classes of the model, the loss and the optimiser, its settings, epochs,
            batch size, and its `config`.
    Shape:
        - predictions: x is (N, C, H, W) with C = 1 or 3; labels are (N,) integers
    Raises:
        ImportError: tensorboardX is missing.
        TypeError, ValueError: an argument makes no sense.

    Example:
        >>> import tempfile
        >>> from fastnn import interop, training
        >>> batches = [(np.eye(4, dtype=np.float32), np.arange(4))] * 20
        >>> folder = tempfile.TemporaryDirectory()
        >>> board = interop.TensorBoard(folder.name, every=5, histograms=True)
        >>> history = training.fit(nn.Linear(4, 4), batches, epochs=2, callbacks=[board], progress=False)
        >>> len(os.listdir(folder.name))
        1

        In a loop of one's own, the methods that begin with `add` write; the block closes the file.

        >>> with interop.TensorBoard(folder.name) as board:
        ...     for step in range(1, 4):
        ...         board.add_scalar("loss", 1 / step, step)
        >>> folder.cleanup()
    """

    only_watches: ClassVar[bool] = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        every: int = 10,
        gradients: bool = False,
        histograms: bool = False,
        filters: bool = False,
        predictions: Any = None,
        class_names: Sequence[str] | None = None,
        every_epochs: int = 1,
        graph: bool = True,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        import_tensorboardx()
        self.log_dir = path_of("TensorBoard", "log_dir", log_dir)
        self.every = _check.integer("TensorBoard", "every", every, 1)
        self.gradients = _check.boolean("TensorBoard", "gradients", gradients)
        self.histograms = _check.boolean("TensorBoard", "histograms", histograms)
        self.filters = _check.boolean("TensorBoard", "filters", filters)
        self.every_epochs = _check.integer("TensorBoard", "every_epochs", every_epochs, 1)
        self.graph = _check.boolean("TensorBoard", "graph", graph)
        names = None
        if class_names is not None:
            names = [str(name) for name in _arguments.sequence("TensorBoard", "class_names", class_names)]
        self._class_names = names
        self._examples = None if predictions is None else Examples.checked("TensorBoard", predictions)
        self._hparams = checked_settings("TensorBoard", hparams)
        self._file: EventFile | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget what belongs to another training."""
        self._rates: list[float] = []
        self._gradient_norms: dict[str, float] = {}
        self._loss = self._images = 0.0  # sums since the last point
        self._before = 0, 0.0  # images and seconds of the training until then
        self._graph: Graph | None = None
        self._has_head = self._has_ended = False

    # ---- by hand -----------------------------------------------------------------------------------------------------
    def open(self, step: int | None = None) -> Self:
        """Begin a new file. What earlier files in the folder hold from step `step` on is hidden; None hides nothing.

        Whatever is written first opens a file by itself; a loop of one's own that resumes after 500 steps calls
        `board.open(501)`.
        """
        if step is not None:
            step = _check.integer("TensorBoard.open", "step", step, 0)
        self.close()
        self._file = EventFile(self.log_dir, step)
        return self

    def _opened(self) -> EventFile:
        if self._file is None:
            self.open()
        assert self._file is not None
        return self._file

    def add_scalar(self, tag: str, value: Any, step: int) -> None:
        """Write a number, a point of the curve `tag`."""
        tag, step = _place("add_scalar", tag, step)
        self._opened().scalars({tag: _check.number("TensorBoard.add_scalar", "value", value)}, step)

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        """Write the distribution of the values of an array. Values that are not finite are left out."""
        tag, step = _place("add_histogram", tag, step)
        self._opened().histogram(tag, _check.reals("TensorBoard.add_histogram", "values", values), step)

    def add_image(self, tag: str, picture: Any, step: int) -> None:
        """Write a picture: axes or a figure of matplotlib, or an array (H, W) or (C, H, W) with C = 1 or 3.

        Arrays are uint8, or floats in [0, 1]; values outside are clipped.
        """
        tag, step = _place("add_image", tag, step)
        self._opened().image(tag, pixels_of("TensorBoard.add_image", picture), step)

    def add_weights(self, model: nn.Module, step: int) -> None:
        """Write histograms of all parameters of a network, and of the gradients that they have."""
        _arguments.model("TensorBoard.add_weights", "model", model)
        step = _check.integer("TensorBoard.add_weights", "step", step, 0)
        for path, parameter in model.named_parameters():
            self._opened().histogram(f"weights/{path}", parameter.data, step)
            if parameter.grad is not None:
                self._opened().histogram(f"gradients/{path}", parameter.grad, step)

    def add_graph(self, model: nn.Module, *inputs: Any) -> None:
        """Write the graph of a network: run it in evaluation mode on `inputs`, and note what it computes.

        Layers that hand on what they got, such as dropout in evaluation, are left out. Nothing in the network changes.
        """
        _arguments.model("TensorBoard.add_graph", "model", model)
        if not inputs:
            raise TypeError("TensorBoard.add_graph: the input of the network is needed: board.add_graph(model, x)")
        self._opened().graph(graph_of(model, *inputs))

    def flush(self) -> None:
        """Bring what was written to the disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file. What is written later goes into a new one in the same folder."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- in a training -----------------------------------------------------------------------------------------------
    def on_fit_begin(self, trainer: "Trainer") -> None:
        self._begin()
        self.open(trainer.step + 1 if trainer.step else 0)
        self._before = trainer.images_seen, trainer.train_seconds
        if self.graph:
            self._graph = Graph(trainer.model, trainer.criterion)
        if not trainer.step:
            self._add_pictures(trainer, 0)

    def on_step_begin(self, trainer: "Trainer") -> None:
        self._rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
        if self._graph is not None:
            trainer.during_step.enter_context(self._graph.watching())

    def on_gradients(self, trainer: "Trainer") -> None:
        if self.gradients and (trainer.step + 1) % self.every == 0:
            self._gradient_norms = {
                path: float(np.linalg.norm(parameter.grad.ravel()))
                for path, parameter in trainer.model.named_parameters()
                if parameter.grad is not None
            }

    def on_step_end(self, trainer: "Trainer") -> None:
        if self._graph is not None:
            self._opened().graph(self._graph.nodes)
            self._graph = None
        if np.isfinite(trainer.last_loss):  # NaN of a batch in which every label is ignored
            self._loss += trainer.last_loss * trainer.last_batch_size
            self._images += trainer.last_batch_size
        if trainer.step % self.every == 0:
            # The time of this step is not known yet.
            self._add_point(trainer, trainer.images_seen - trainer.last_batch_size)

    def _add_point(self, trainer: "Trainer", images: int) -> None:
        """The curves of steps since the last point; `images` are those of the steps whose time is known."""
        values: dict[str, float] = {}
        if self._images:
            values["step/loss"] = self._loss / self._images
        names = [f"_{i}" for i in range(len(self._rates))] if len(self._rates) > 1 else [""]
        values |= {f"step/learning_rate{name}": rate for name, rate in zip(names, self._rates, strict=True)}
        seconds = trainer.train_seconds - self._before[1]
        if images > self._before[0] and seconds > 0:
            values["step/images_per_second"] = (images - self._before[0]) / seconds
            self._before = images, trainer.train_seconds
        if self._gradient_norms:
            values["step/gradient_norm"] = float(np.linalg.norm(list(self._gradient_norms.values())))
            values |= {f"gradient_norms/{path}": norm for path, norm in self._gradient_norms.items()}
        self._opened().scalars(values, trainer.step)
        self._loss = self._images = 0.0
        self._gradient_norms = {}

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if self._images:
            self._add_point(trainer, trainer.images_seen)
        self._before = trainer.images_seen, trainer.train_seconds
        file = self._opened()
        values = {
            f"epoch/{name}": float(value)
            for name, value in row.items()
            if name not in ("epoch", "step") and isinstance(value, int | float) and not isinstance(value, bool)
        }
        file.scalars(values, trainer.step)
        if not self._has_head:
            self._has_head = True
            file.charts(_charts(values))
            judged_by = [tag for tag in values if tag.startswith(("epoch/train_", "epoch/val_"))]
            file.hyper_parameters(
                {**settings_of(trainer), **self._hparams}, [tag for tag in judged_by if tag != "epoch/train_seconds"]
            )
        if row["epoch"] % self.every_epochs == 0 or trainer.step == trainer.total_steps:
            self._add_pictures(trainer, trainer.step)
        file.flush()

    def _add_pictures(self, trainer: "Trainer", step: int) -> None:
        if self.histograms:
            self.add_weights(trainer.model, step)
        if self.filters:
            path, axes = filters_of(trainer.model)
            self.add_image(f"filters/{path}", axes, step)
        if self._examples is not None:
            with evaluating(trainer.model):
                outputs = trainer.model(self._examples.x)
            axes = self._examples.drawn(outputs, self._class_names, trainer.model.preprocessing)
            self.add_image("predictions", axes, step)

    def on_interrupt(self, trainer: "Trainer") -> None:
        if self._images:
            self._add_point(trainer, trainer.images_seen)

    def on_fit_end(self, trainer: "Trainer") -> None:
        self._has_ended = True

    def on_exit(self, trainer: "Trainer") -> None:
        if self._file is not None and self._has_head:
            self._file.session_end(succeeded=self._has_ended)
        self.close()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "log_dir": str(self.log_dir)}


def board_of_recipe(log_dir: str | os.PathLike[str], run: "Run", train_set: Any, test_set: Any) -> TensorBoard:
    """What `fastnn train --tensorboard` writes: everything, with predictions for the first test images."""
    from fastnn.training.run import make_loader

    first = test_set.subset(slice(0, _EXAMPLES))
    examples = next(iter(make_loader(run.recipe, run.seed, first, train_set, training=False)))
    return TensorBoard(
        log_dir, gradients=True, histograms=True, filters=True, predictions=examples, class_names=test_set.classes
    )


def _place(method: str, tag: Any, step: Any) -> tuple[str, int]:
    owner = f"TensorBoard.{method}"
    return _arguments.text(owner, "tag", tag), _check.integer(owner, "step", step, 0)


def _charts(tags: Mapping[str, float]) -> dict[str, list[str]]:
    """What is measured of training and validation shares a chart."""
    names = dict.fromkeys(tag.removeprefix("epoch/train_") for tag in tags if tag.startswith("epoch/train_"))
    pairs = {name: [f"epoch/{part}_{name}" for part in ("train", "val")] for name in names if name != "seconds"}
    return {name: [tag for tag in pair if tag in tags] for name, pair in pairs.items()}
