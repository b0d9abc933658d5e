"""Dropout, and the random words that decide."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["dropout", "dropout2d", "random_words"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter: list[NDArray], key: int, rounds: int) -> list[NDArray]:
    """Philox-4x32: four words of 32 bits (kept in uint64) from four words of counter and two of key.

    Source: Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    c0, c1, c2, c3 = counter
    key0, key1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(rounds):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ np.uint64(key0),
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ np.uint64(key1),
            product0 & _LOW,
        )
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def random_words(key: int, count: int) -> NDArray:
    """The first `count` random words of a key: in each 64, word 16 j + i is word j of counter i."""
    blocks = -(-count // 64)
    counter = np.arange(16 * blocks, dtype=np.uint64).reshape(blocks, 16)
    zero = np.zeros_like(counter)
    words = philox([counter & _LOW, counter >> _HALF, zero, zero], key, rounds=7)
    return np.stack(words, axis=1).reshape(-1)[:count]


def dropout(x: NDArray, p: float, key: int) -> NDArray:
    """y = 0 with probability p, else x / (1 - p)

    Element i is dropped if word i of the key is below p * 2^32. Elements are numbered in C order; those of images
    in the order H, W, N, C, in which they lie in memory.
    """
    if p == 1:
        return np.zeros_like(x)
    words = random_words(key, x.size)
    if x.ndim == 4:
        n, c, h, w = x.shape
        words = words.reshape(h, w, n, c).transpose(2, 3, 0, 1)
    else:
        words = words.reshape(x.shape)
    threshold = min(round(p * 2**32), 2**32 - 1)
    return np.where(words < threshold, x.dtype.type(0), x * x.dtype.type(1 / (1 - p)))


def dropout2d(x: NDArray, p: float, key: int) -> NDArray:
    """y = 0 for a whole channel of an image with probability p, else x / (1 - p)

    Channel c of image n takes part in the lottery as element n * C + c.
    """
    factors = dropout(np.ones(x.shape[:2], x.dtype), p, key)[:, :, None, None]
    return np.where(factors == 0, x.dtype.type(0), x * factors)
