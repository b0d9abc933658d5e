"""Files of events, which TensorBoard reads; tensorboardX knows their format."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.interop._tensorboard.graph import Node

__all__ = ["EventFile", "graph_def", "import_tensorboardx"]

_BINS = 64  # of a histogram; TensorBoard draws 30
_numbers = itertools.count(1)


def import_tensorboardx() -> Any:
    """The package tensorboardX.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        import tensorboardX
    except ImportError as error:
        raise ImportError(
            'TensorBoard: its files are written by tensorboardX: pip install "fastnn[tensorboard]"'
        ) from error
    return tensorboardX


class EventFile:
    """A new file of events in a folder.

    Events are written by the calling thread, in its order: after `flush` they are on the disk, and a full disk is an
    error of the call that met it.

    Args:
        folder: where; made if missing.
        purge_step: TensorBoard shall hide what earlier files of the folder hold from this step on; None to hide
            nothing.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        import_tensorboardx()
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        folder.mkdir(parents=True, exist_ok=True)
        self._new_event = event_pb2.Event
        # The writer's own name has a resolution of a second. TensorBoard reads files in the order of their names.
        self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{next(_numbers):04d}")
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(session_log=start), purge_step)

    def _write(self, event: Any, step: int) -> None:
        import time

        event.wall_time, event.step = time.time(), step
        self._writer.write_event(event)

    def _add(self, summary: Any, step: int) -> None:
        self._write(self._new_event(summary=summary), step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag."""
        from tensorboardX.proto.summary_pb2 import Summary

        parts = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
        self._add(Summary(value=parts), step)

    def histogram(self, tag: str, values: NDArray, step: int) -> None:
        """Write the distribution of the finite values of an array; nothing if there are none."""
        from tensorboardX import summary

        flat = np.asarray(values, np.float64).reshape(-1)
        flat = flat[np.isfinite(flat)]
        if flat.size:
            self._add(summary.histogram(tag, flat, _BINS), step)

    def image(self, tag: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Write a picture (H, W, 1) or (H, W, 3)."""
        from tensorboardX import summary

        self._add(summary.image(tag, pixels, dataformats="HWC"), step)

    def charts(self, charts: Mapping[str, Sequence[str]]) -> None:
        """Write which tags share a chart, by the titles of the charts."""
        from tensorboardX import summary

        layout = {"epochs": {title: ["Multiline", list(tags)] for title, tags in charts.items()}}
        self._add(summary.custom_scalars(layout), 0)

    def hyper_parameters(self, values: Mapping[str, Any], metrics: Iterable[str]) -> None:
        """Write the settings of a run, and the tags of the numbers that it is judged by."""
        from tensorboardX import summary

        experiment, start, _ = summary.hparams(dict(values), dict.fromkeys(metrics, 0.0))
        self._add(experiment, 0)
        self._add(start, 0)

    def session_end(self, succeeded: bool) -> None:
        """Write how the run of `hyper_parameters` ended."""
        from tensorboardX.proto.api_pb2 import Status
        from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
        from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

        status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
        content = HParamsPluginData(session_end_info=SessionEndInfo(status=status)).SerializeToString()
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=content))
        self._add(Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)]), 0)

    def graph(self, nodes: Iterable[Node]) -> None:
        """Write a graph of operations."""
        self._write(self._new_event(graph_def=graph_def(nodes).SerializeToString()), 0)

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flush, and close the file."""
        self._writer.close()


def graph_def(nodes: Iterable[Node]) -> Any:
    """A graph of operations as tensorboardX's GraphDef."""
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    return GraphDef(node=[_node_def(node) for node in nodes], versions=VersionDef(producer=22))


def _node_def(node: Node) -> Any:
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape]) for shape in node.shapes]
    attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
    attributes |= {name: AttrValue(s=text.encode()) for name, text in node.notes.items()}
    return NodeDef(name=node.name, op=node.kind, input=node.inputs, attr=attributes)
