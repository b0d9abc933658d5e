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

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """The graph of what a network computes, seen while it runs once in evaluation mode."""
        from fastnn.interop._tensorboard.event_file import graph_def
        from fastnn.interop._tensorboard.graph import graph_of

        if input_to_model is None:
            raise TypeError("SummaryWriter.add_graph: input_to_model is needed: the network has to run to be seen")
        inputs = input_to_model if isinstance(input_to_model, tuple | list) else (input_to_model,)
        self._writer.file_writer.add_onnx_graph(graph_def(graph_of(model, *inputs)))

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
