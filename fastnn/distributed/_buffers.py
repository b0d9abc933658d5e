"""What layers remember, such as running statistics: the same after a step, whoever ran which shard.

Every shard begins with the buffers as they were before the step. Afterwards a floating-point buffer that any shard has
changed is the mean of what the shards made of it, weighted with their numbers of samples and added in the order of the
tree. Of integers, such as the count of batches, the first shard's count. Shards without samples count for nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._exchange import sum_over_shards

__all__ = ["Buffers"]


class Buffers:
    """The buffers of some modules during one step.

    Args:
        modules: a network, and a criterion.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._places: list[tuple[str, dict[str, Any], str]] = []
        for module in modules:
            for path, part in module.named_modules():
                for name, buffer in part._buffers.items():
                    if buffer is not None:
                        self._places.append((f"{path}.{name}" if path else name, part._buffers, name))
        self._objects: list[NDArray] = [owner[name] for _, owner, name in self._places]
        self._values = [np.array(array) for array in self._objects]
        self._of_shards: list[dict[int, NDArray]] = []  # what each shard with samples of this rank has changed

    def take(self) -> None:
        """A shard is over: keep what it has changed, and go back to the beginning of the step."""
        changed: dict[int, NDArray] = {}
        for index, ((path, owner, name), array, value) in enumerate(
            zip(self._places, self._objects, self._values, strict=True)
        ):
            now = owner[name]
            if now is array:
                if _same(array, value):
                    continue
                now = array.copy()
                array[...] = value
            elif np.shape(now) != value.shape or np.result_type(now) != value.dtype:
                raise ValueError(
                    f"shards: the buffer {path} changed its shape or dtype, and so has no mean over shards: "
                    f"{value.dtype}{value.shape} became {np.result_type(now)}{np.shape(now)}"
                )
            else:
                owner[name] = array
                if _same(now, value):
                    continue
            changed[index] = now
        self._of_shards.append(changed)

    def take_nothing(self) -> None:
        """A shard without samples."""
        self._of_shards.append({})

    def changed(self) -> list[int]:
        """The numbers of the buffers that a shard of this rank has changed."""
        return sorted({index for shard in self._of_shards for index in shard})

    def integers(self, sizes: Sequence[int]) -> dict[str, Any]:
        """The integers that the first shard with samples of this rank has changed."""
        first = next((shard for shard, size in zip(self._of_shards, sizes, strict=True) if size), {})
        return {str(i): now.tolist() for i, now in first.items() if self._values[i].dtype.kind not in "fc"}

    def finish(
        self,
        communicator: Communicator,
        number: int,
        shards: int,
        weights: Sequence[float],
        changed: Sequence[int],
        integers: dict[str, Any],
    ) -> None:
        """Set the buffers that any rank has changed.

        Args:
            communicator: the ranks.
            number: of the first exchange.
            shards: the number of all shards.
            weights: of this rank's shards in the mean.
            changed: the buffers that any shard has changed.
            integers: those of the first of all shards that has samples.
        """
        floats = [index for index in changed if self._values[index].dtype.kind in "fc"]
        for dtype in sorted({self._values[index].dtype for index in floats}, key=str):
            some = [index for index in floats if self._values[index].dtype == dtype]
            leaves = []
            for shard, weight in zip(self._of_shards, weights, strict=True):
                arrays = [shard.get(index, self._values[index]) for index in some]
                leaves.append(np.concatenate([np.ravel(array) for array in arrays]) * dtype.type(weight))
            total = sum_over_shards(communicator, number, shards, leaves)
            number += 1
            end = 0
            for index in some:
                value = self._values[index]
                _, owner, name = self._places[index]
                owner[name] = total[end : end + value.size].reshape(value.shape).copy()
                end += value.size
        for text, value in integers.items():
            _, owner, name = self._places[int(text)]
            owner[name] = np.asarray(value, self._values[int(text)].dtype)


def _same(a: NDArray, b: NDArray) -> bool:
    """Whether all bits are."""
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
