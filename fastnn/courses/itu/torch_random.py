"""The random numbers of PyTorch, without it: normal ones of a GPU, and indices of a CPU.

A course that fixes its expected results by `torch.manual_seed(0)` and draws by `torch.randn(..., device="cuda")` can
only be repeated with a GPU's numbers. A GPU draws them with one Philox counter for each of its threads, and turns pairs
of integers into normal numbers by the method of Box and Muller. Its logarithms and sines differ from NumPy's in the
last bit of float32, so the numbers are the same to about 1e-7 of their size (float64: 1e-15).

Source: Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["CudaNormals", "torch_choice"]

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_BLOCK = 256  # threads of a block of PyTorch's kernel


def philox4x32(counters: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Ten rounds of Philox: four 32-bit words for each counter of four words.

    Shape:
        - counters: (N, 4), each below 2^32
        - Result: (N, 4), each below 2^32
    """
    a, b, c, d = counters.T
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        left, right = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (
            (right >> _HALF) ^ b ^ np.uint64(keys[0]),
            right & _LOW,
            (left >> _HALF) ^ d ^ np.uint64(keys[1]),
            left & _LOW,
        )
        keys = [(key + step) & 0xFFFFFFFF for key, step in zip(keys, _KEY_STEPS, strict=True)]
    return np.stack([a, b, c, d], axis=1)


class CudaNormals:
    """The sequence of calls of `torch.randn` on a GPU after `torch.manual_seed(seed)`.

    Args:
        seed: as given to `torch.manual_seed`.
        max_blocks: blocks of 256 threads that the GPU runs at a time. Only arrays of more than 256 times as many
            elements depend on it.
    Example:
        >>> from fastnn.courses.itu.torch_random import CudaNormals
        >>> CudaNormals(0).randn(3).round(4)
        array([-0.9247, -0.4253, -2.6438], dtype=float32)
    """

    def __init__(self, seed: int, max_blocks: int = 448) -> None:
        self.seed = seed
        self.max_blocks = max_blocks
        self._offset = 0  # of the counter, in calls for four words

    def randn(self, *shape: int, dtype: DTypeLike = np.float32) -> NDArray:
        """Normal numbers of float32 or float64: two different sequences."""
        size = math.prod(shape)
        n_threads = _BLOCK * min(-(-size // _BLOCK), self.max_blocks)
        per_call = 4 if np.dtype(dtype) == np.float32 else 2
        # Thread t makes the elements t, t + n_threads, ..., as many as its words give, then goes on with new words.
        element = np.arange(size)
        thread, turn = element % n_threads, element // n_threads
        counters = np.zeros((size, 4), np.uint64)
        counters[:, 0] = self._offset + turn // per_call
        counters[:, 2] = thread
        words = philox4x32(counters, self.seed)
        normals = _normals32(words) if per_call == 4 else _normals64(words)
        self._offset += int(turn.max(initial=0)) // per_call + 1
        return normals[element, turn % per_call].reshape(shape)


def _normals32(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Four float32 from four words."""
    words32 = words.astype(np.float32)
    inverse = np.float32(2.0**-32)
    turn = np.float32(2 * np.pi * 2.0**-32)
    radius = np.sqrt(np.float32(-2) * np.log(words32[:, 0::2] * inverse + inverse / 2))
    angle = words32[:, 1::2] * turn + turn / 2
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=2).reshape(len(words), 4)


def _normals64(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Two float64 from four words: a number of 53 bits from each pair."""
    long = (words[:, 0::2] ^ (words[:, 1::2] << np.uint64(21))).astype(np.float64)
    radius = np.sqrt(-2 * np.log(long[:, 0] * 2.0**-53 + 2.0**-54))
    angle = np.pi * (long[:, 1] * 2.0**-52 + 2.0**-53)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def torch_choice(seed: int) -> Any:
    """draw(N, size) gives what `torch.randint(N, (size,))` gives on a CPU after `torch.manual_seed(seed)`."""
    words = np.random.RandomState(seed)  # PyTorch has the same Mersenne twister, seeded in the same way
    return lambda n, size: (words.randint(0, 2**32, size, np.uint32) % n).astype(np.int64)
