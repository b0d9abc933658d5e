"""What a training tells the terminal."""

import sys
from typing import TYPE_CHECKING, Any

from fastnn.training.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Progress"]


class Progress(Callback):
    """A bar with loss, accuracy, images per second and time left, and a line after each epoch, on standard error.

    Without a terminal there is no bar, only the lines.
    """

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None

    def on_step_end(self, trainer: "Trainer") -> None:
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
                disable=not self._stream.isatty(),
            )
        meter = trainer.meter
        self._bar.set_description_str(f"epoch {trainer.epoch + 1}/{trainer.total_epochs}", refresh=False)
        self._bar.set_postfix_str(f"loss {meter.loss:.3f}, accuracy {100 * meter.accuracy:.1f} %", refresh=False)
        self._bar.update(trainer.last_batch_size)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        words = [f"epoch {row['epoch']}/{trainer.total_epochs}"]
        words.append(f"loss {row['train_loss']:.3f}, accuracy {100 * row['train_accuracy']:.2f} %")
        if "val_loss" in row:
            words.append(f"{trainer.val_name} loss {row['val_loss']:.3f}, accuracy {100 * row['val_accuracy']:.2f} %")
        words.append(f"{row['images_per_second']:,.0f} images/s, {row['train_seconds']:.1f} s")
        self.write(" | ".join(words))

    def on_exit(self, trainer: "Trainer") -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def write(self, text: str) -> None:
        """Print a line without tearing the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)
