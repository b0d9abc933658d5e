"""Dropout, and the random words that decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["dropout", "dropout2d", "random_words"]

_ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))


def threefry(counter: list[NDArray], key: list[int], rounds: int) -> list[NDArray]:
    """Threefry-4x32: four random words of 32 bits from four words of counter and four of key, all of dtype uint32.

    Source: Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    keys = [*key, 0x1BD11BDA ^ key[0] ^ key[1] ^ key[2] ^ key[3]]
    a, b, c, d = (word + np.uint32(k) for word, k in zip(counter, keys, strict=False))
    for number in range(rounds):
        first, second = _ROTATIONS[number % 8]
        a, c = a + b, c + d
        b, d = _rotate(d, second) ^ c, _rotate(b, first) ^ a  # odd rounds mix (a, d) and (c, b)
        if number % 4 == 3:  # the key is added again, one word further each time
            turn = number // 4 + 1
            a, b, c, d = (word + np.uint32(keys[(turn + i) % 5]) for i, word in enumerate((a, b, c, d)))
            d = d + np.uint32(turn)
    return [a, b, c, d]


def _rotate(word: NDArray, bits: int) -> NDArray:
    return word << np.uint32(bits) | word >> np.uint32(32 - bits)


def random_words(key: int, count: int) -> NDArray:
    """The first `count` random words of a key: in each 64, word 16 j + i is word j of counter i."""
    blocks = -(-count // 64)
    counter = np.arange(16 * blocks, dtype=np.uint64).reshape(blocks, 16)
    low, high = counter.astype(np.uint32), (counter >> np.uint64(32)).astype(np.uint32)
    zero = np.zeros_like(low)
    words = threefry([low, high, zero, zero], [key & 0xFFFFFFFF, key >> 32, 0, 0], rounds=12)
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
