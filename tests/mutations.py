"""Files made a little wrong, always in the same way for the same seed."""

import random
import struct
import zlib

# Numbers at which readers go wrong.
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 1 << 24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def mutate(rng: random.Random, content: bytes) -> bytes:
    """One to four changes; half of them near the beginning or the end, where most of what is not data stands."""
    result = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not result:
            break
        near = min(len(result), 400)
        place = rng.choice((rng.randrange(len(result)), rng.randrange(near), len(result) - 1 - rng.randrange(near)))
        match rng.randrange(8):
            case 0:
                result[place] ^= 1 << rng.randrange(8)
            case 1:
                result[place] = rng.choice((0, 255, rng.randrange(256), ord(rng.choice('0129-"{}[],:.$ '))))
            case 2:
                del result[place:]
            case 3:
                del result[place : place + rng.choice((1, 2, 8, 100))]
            case 4:
                result[place:place] = rng.randbytes(rng.choice((1, 2, 8, 100)))
            case 5:  # a piece of it again, here or in the place of something
                start, length = rng.randrange(len(result)), rng.choice((1, 8, 64, 600))
                piece = result[start : start + length]
                result[place : place + rng.choice((0, len(piece)))] = piece
            case 6:
                form = rng.choice("<>") + rng.choice("BHIQ")
                size = struct.calcsize(form)
                number = rng.choice(_NUMBERS) & (1 << 8 * size) - 1
                result[place : place + size] = struct.pack(form, number)
            case 7:  # a number written in digits
                digits = [index for index in range(max(0, place - 200), min(len(result), place + 200))
                          if result[index : index + 1].isdigit()]  # fmt: skip
                if digits:
                    index = rng.choice(digits)
                    text = rng.choice(("", "0", "9", "-1", "1.5", "1e999", "99999999", str(rng.choice(_NUMBERS))))
                    result[index : index + rng.choice((1, 1, 3))] = text.encode()
    return bytes(result)


def with_right_checksums_of_png(content: bytes) -> bytes:
    """So that a change gets past the checksum of its chunk."""
    result, position = bytearray(content), 8
    while position + 12 <= len(result):
        length = int.from_bytes(result[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(result):
            break
        result[end : end + 4] = zlib.crc32(result[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(result)


def with_right_checksums_of_tar(content: bytes) -> bytes:
    """In every block that may be a header."""
    result = bytearray(content)
    for start in range(0, len(result) - 511, 512):
        if result[start + 257 : start + 262] == b"ustar":
            result[start + 148 : start + 156] = b" " * 8
            result[start + 148 : start + 156] = b"%06o\0 " % sum(result[start : start + 512])
    return bytes(result)
