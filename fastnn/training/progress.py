"""What a training tells the terminal."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._terminal import is_terminal
from fastnn.training.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Progress"]


class Progress(Callback):
    """A bar with loss, accuracy, images per second and time left, and a line after each epoch, on standard error.

    Without a terminal there is no bar, only the lines; without a standard error, as under pythonw, nothing.
    """

    only_watches: ClassVar[bool] = True

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None

    def on_step_end(self, trainer: "Trainer") -> None:
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
        meter = trainer.meter
        self._bar.set_description_str(f"epoch {trainer.epoch + 1}/{trainer.total_epochs}", refresh=False)
        words = _words(meter.loss, {"accuracy": meter.accuracy} if "accuracy" in meter.values() else {}, 1)
        self._bar.set_postfix_str(words, refresh=False)
        self._bar.update(trainer.last_batch_size)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        words = [f"epoch {row['epoch']}/{trainer.total_epochs}"]
        for part, prefix in (("train", ""), ("val", f"{trainer.val_name} ")):
            if f"{part}_loss" in row:
                names = [name for name in dict.fromkeys(["accuracy", *trainer.metrics]) if f"{part}_{name}" in row]
                measured = {name: row[f"{part}_{name}"] for name in names}
                words.append(prefix + _words(row[f"{part}_loss"], measured, 2))
        words.append(f"{row['images_per_second']:,.0f} images/s, {row['train_seconds']:.1f} s")
        self.write(" | ".join(words))

    def on_exit(self, trainer: "Trainer") -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def write(self, text: str) -> None:
        """Print a line without tearing the bar."""
        if self._stream is None:
            return
        if self._bar is not None and not self._bar.disable:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)


def _words(loss: float, measured: Mapping[str, float], digits: int) -> str:
    """For example `loss 0.512, accuracy 81.25 %`."""
    words = [f"loss {loss:.3f}"]
    for name, value in measured.items():
        is_share = name == "accuracy"
        words.append(f"{name} {100 * value:.{digits}f} %" if is_share else f"{name} {value:.4g}")
    return ", ".join(words)
