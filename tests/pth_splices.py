"""Pickles of the instructions of another one, in other order, with others between them."""

import itertools
import pickletools

# What is put between the instructions of a pickle.
PIECES = [
    b"(", b")", b"]", b"}", b".", b"0", b"1", b"2", b"N", b"t", b"l", b"d", b"a", b"e", b"s", b"u", b"R", b"b", b"Q",
    b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"\x89", b"\x8f", b"\x90", b"\x91", b"\x93", b"\x94",
    b"K\0", b"K\1", b"M\xff\xff", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"\x8a\x04\0\0\0\x7f",
    b"G\x7f\xf0\0\0\0\0\0\0", b"V__class__\n", b"Vlatin1\n", b"V0\n",
    b"h\0", b"h\1", b"h\5", b"q\0", b"q\1", b"q\7", b"j\xff\xff\xff\xff",
    *(b"c" + name + b"\n" for name in (
        b"posix\nsystem", b"torch\nSize", b"torch\nFloatStorage", b"torch\nfloat32", b"torch.storage\nUntypedStorage",
        b"torch._utils\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_tensor_v3", b"torch._utils\n_rebuild_parameter",
        b"collections\nOrderedDict", b"collections\ndefaultdict", b"_codecs\nencode", b"builtins\nset",
        b"builtins\nbytearray", b"numpy\nndarray", b"numpy\ndtype", b"numpy._core.multiarray\n_reconstruct",
        b"argparse\nNamespace", b"copyreg\n_reconstructor",
    )),
]  # fmt: skip


def spliced(rng, instructions):
    """The instructions with some left out, said twice, moved, or other ones between them."""
    result = list(instructions)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        place = rng.randrange(len(result))
        match rng.randrange(4):
            case 0:
                del result[place]
            case 1:
                result.insert(place, rng.choice(result))
            case 2:
                other = rng.randrange(len(result))
                result[place], result[other] = result[other], result[place]
            case 3:
                result.insert(place, rng.choice(PIECES))
    return b"".join(result)


def instructions_of(pickle):
    places = [place for *_, place in pickletools.genops(pickle)] + [len(pickle)]
    return [pickle[start:end] for start, end in itertools.pairwise(places)]
