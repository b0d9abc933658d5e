"""torch.utils.tensorboard: TensorBoard's logs, which tensorboardX writes: `pip install 'fastnn[tensorboard]'`."""

import functools
import importlib.util
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing

__all__: list[str] = []  # SummaryWriter is there if tensorboardX is


class _SummaryWriter:
    """tensorboardX's writer, whose methods take tensors, too."""

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        import tensorboardX

        self._writer = tensorboardX.SummaryWriter(
            log_dir if log_dir is None else str(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )
        self.log_dir = self._writer.logdir

    def get_logdir(self) -> str:
        """The folder of the logs."""
        return str(self.log_dir)

    def add_graph(self, model: Any, *_: Any, **__: Any) -> None:
        """Not there: there are no graphs of operations before they run."""
        raise RuntimeError(
            "SummaryWriter.add_graph is not in fastnn: print(model) shows its modules, `fastnn summary` their shapes"
        )

    def __enter__(self) -> "_SummaryWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["_writer"], name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def write(*arguments: Any, **keywords: Any) -> Any:
            plain = {key: _array(value) for key, value in keywords.items()}
            return found(*[_array(value) for value in arguments], **plain)

        return write


def _array(value: Any) -> Any:
    """Tensors as arrays, those of one number as numbers, also in lists and dictionaries."""
    if isinstance(value, NumPyTensor):
        return value._data if value._data.ndim else value._data.item()
    if isinstance(value, dict):
        return {key: _array(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, np.ndarray):
        return type(value)(_array(item) for item in value)
    return value


_SummaryWriter.__name__ = _SummaryWriter.__qualname__ = "SummaryWriter"
_other = missing(__name__, {"FileWriter": "use SummaryWriter", "RecordWriter": "use SummaryWriter"})


def __getattr__(name: str) -> Any:
    if name != "SummaryWriter":
        return _other(name)
    # Scripts that can do without logs expect to learn so when they import it.
    if importlib.util.find_spec("tensorboardX") is None:
        raise ImportError("torch.utils.tensorboard: tensorboardX writes the logs: pip install 'fastnn[tensorboard]'")
    return _SummaryWriter
