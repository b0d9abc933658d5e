"""What a training tells whoever waits: in a terminal, a notebook or a file."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._notebook import in_notebook
from fastnn._terminal import is_terminal
from fastnn.training._panel import Panel
from fastnn.training.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Progress"]


class Progress(Callback):
    """A bar with loss, accuracy, images per second and time left, and a line after each epoch, on standard error.

    Without a terminal there is no bar, only the lines; without a standard error, as under pythonw, nothing. A notebook
    shows the bar and a table of the epochs, which stays when the training has ended; it needs no widgets.

    Args:
        stream: where to write, instead of standard error or into the notebook.
    """

    only_watches: ClassVar[bool] = True

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._may_show = stream is None
        self._bar: Any = None
        self._panel: Panel | None = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        self._panel = Panel(trainer.total_steps, trainer.step) if self._may_show and in_notebook() else None

    def on_step_end(self, trainer: "Trainer") -> None:
        if self._panel is not None:
            words = _words(trainer.meter.loss, _accuracy_of(trainer), 1)
            self._panel.step(trainer.step, f"epoch {trainer.epoch + 1}/{trainer.total_epochs}: {words}")
            return
        if self._stream is None:
            return
        if self._bar is None:
            from tqdm import tqdm

            # The size of the first batch stands for all.
            self._bar = tqdm(
                total=trainer.total_steps * trainer.last_batch_size,
                initial=(trainer.step - 1) * trainer.last_batch_size,
                unit="img",
                unit_scale=True,
                file=self._stream,
                dynamic_ncols=True,
                leave=False,
                disable=not is_terminal(self._stream),
            )
        self._bar.set_description_str(f"epoch {trainer.epoch + 1}/{trainer.total_epochs}", refresh=False)
        self._bar.set_postfix_str(_words(trainer.meter.loss, _accuracy_of(trainer), 1), refresh=False)
        self._bar.update(trainer.last_batch_size)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if self._panel is not None:
            self._panel.epoch(_cells(trainer, row))
            return
        words = [f"epoch {row['epoch']}/{trainer.total_epochs}"]
        for part, prefix in (("train", ""), ("val", f"{trainer.val_name} ")):
            if f"{part}_loss" in row:
                names = [name for name in dict.fromkeys(["accuracy", *trainer.metrics]) if f"{part}_{name}" in row]
                measured = {name: row[f"{part}_{name}"] for name in names}
                words.append(prefix + _words(row[f"{part}_loss"], measured, 2))
        words.append(f"{row['images_per_second']:,.0f} images/s, {row['train_seconds']:.1f} s")
        self.write(" | ".join(words))

    def on_exit(self, trainer: "Trainer") -> None:
        if self._panel is not None:
            self._panel.end()
            self._panel = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def write(self, text: str) -> None:
        """Print a line without tearing the bar."""
        if self._panel is not None:
            self._panel.note(text)
            return
        if self._stream is None:
            return
        if self._bar is not None and not self._bar.disable:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)


def _accuracy_of(trainer: "Trainer") -> dict[str, float]:
    """That of the running epoch, where targets are classes."""
    return {"accuracy": trainer.meter.accuracy} if "accuracy" in trainer.meter.values() else {}


def _cells(trainer: "Trainer", row: dict[str, Any]) -> dict[str, str]:
    """What a table says of an epoch, by the titles of the columns."""
    cells = {"epoch": f"{row['epoch']}/{trainer.total_epochs}"}
    for part, prefix in (("train", ""), ("val", f"{trainer.val_name} ")):
        for name in dict.fromkeys(["loss", "accuracy", *trainer.metrics]):
            value = row.get(f"{part}_{name}")
            if value is not None:
                cells[prefix + name] = _shown(name, value, 2)
    return {**cells, "images/s": f"{row['images_per_second']:,.0f}", "seconds": f"{row['train_seconds']:.1f}"}


def _words(loss: float, measured: Mapping[str, float], digits: int) -> str:
    """For example `loss 0.512, accuracy 81.25 %`."""
    return ", ".join(f"{name} {_shown(name, value, digits)}" for name, value in {"loss": loss, **measured}.items())


def _shown(name: str, value: float, digits: int) -> str:
    if name == "loss":
        return f"{value:.3f}"
    return f"{100 * value:.{digits}f} %" if name == "accuracy" else f"{value:.4g}"
