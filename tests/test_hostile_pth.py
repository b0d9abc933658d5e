"""Pickles in files of PyTorch that are made by hand to do harm: one kind of error, and nothing runs."""

import io
import pickle
import struct
import time

import numpy as np
import pytest
from hostile import SECONDS, made
from pth_files import FORMATS, MAGIC, new_format
from pth_watch import refuse, watched

import fastnn
from fastnn.training._pth import read_pth


@pytest.fixture(params=FORMATS)
def write(request):
    """Makes the content of a file in each of the two formats."""
    return FORMATS[request.param]


# ---- nothing runs ----------------------------------------------------------------------------------------------------
def line(text):
    return text.encode() + b"\n"


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def acts(marker):
    """Pickles that would write the file `marker` if any of their instructions did what Python's do."""
    command = f"touch {marker}"
    text = b"V" + line(command)
    system = b"cposix\nsystem\n"
    return {
        "REDUCE": system + b"(" + text + b"tR.",
        "REDUCE of os": b"cos\nsystem\n" + text + b"\x85R.",
        "STACK_GLOBAL": b"\x80\x04" + short("posix") + short("system") + b"\x93" + text + b"\x85R.",
        "STACK_GLOBAL of a path": b"\x80\x04" + short("os") + short("path.os.system") + b"\x93" + text + b"\x85R.",
        "STACK_GLOBAL within what is allowed": b"\x80\x04" + short("torch._utils")
        + short("_rebuild_tensor_v2.__globals__") + b"\x93" + text + b"\x85R.",
        "INST": b"(" + text + b"iposix\nsystem\n.",
        "OBJ": b"(" + system + text + b"o.",
        "NEWOBJ": system + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04" + system + text + b"\x85}\x92.",
        "EXT1": b"\x80\x02\x82\x01" + text + b"\x85R.",
        "EXT2": b"\x80\x02\x83\x01\x00" + text + b"\x85R.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00" + text + b"\x85R.",
        "PERSID": b"P" + line(command) + b".",
        "BINPERSID": b"(" + system + text + b"tQ.",
        "BINPERSID of a call": system + text + b"\x85RQ.",
        "BUILD of __class__": b"ccollections\nOrderedDict\n)R}V__class__\n" + system + b"sb.",
        "BUILD of __setstate__": b"cargparse\nNamespace\n)\x81}V__setstate__\n" + system + b"sb" + text + b"b.",
        "BUILD of slots": b"cargparse\nNamespace\n)\x81N}V__reduce__\n" + system + b"s\x86b.",
        "BUILD of a function": system + b"}V__call__\n" + text + b"sb.",
        "BUILD of a list": b"]}V__class__\n" + system + b"sb.",
        "BUILD of an array": b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tVb\ntR(K\1(K\1t"
        + system + b"\x89" + text + b"tb.",
        "array of objects": b"cnumpy\ndtype\n(VO8\n\x89\x88tR.",
        "eval": b"c__builtin__\neval\n(V__import__('os').system(" + line(f"{command!r})") + b"tR.",
        "exec": b"cbuiltins\nexec\n(V__import__('os').system(" + line(f"{command!r})") + b"tR.",
        "import": b"cbuiltins\n__import__\n(Vos\ntR.",
        "getattr": b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nV__init__\ntR.",
        "open": b"cbuiltins\nopen\n(V" + line(str(marker)) + b"Vw\ntR.",
        "map": b"cbuiltins\nmap\n(" + system + b"(" + text + b"ltR.",
        "partial": b"cfunctools\npartial\n(" + system + text + b"tR)R.",
        "defaultdict of a function": b"ccollections\ndefaultdict\n(" + system + b"tR.",
        "defaultdict of what is allowed": b"ccollections\ndefaultdict\n(ctorch\nSize\ntR.",
        "set of a call": b"cbuiltins\nset\n((" + system + text + b"\x85RltR.",
        "Popen": b"csubprocess\nPopen\n(" + text + b"tR.",
        "pickle": b"cpickle\nloads\n(" + text + b"tR.",
        "torch.load": b"ctorch.serialization\nload\n(" + text + b"tR.",
        "bytes of torch.save": b"ctorch.storage\n_load_from_bytes\n(" + text + b"tR.",
        "NumPy's runstring": b"cnumpy.testing._private.utils\nrunstring\n(" + text + b"}tR.",
        "hooks of a tensor": b"ctorch._utils\n_rebuild_parameter_with_state\n(" + system + b"\x88" + system + b"}tR.",
        "a class of tensors": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + system + b"cos\nPathLike\n" + text
        + b"\x85}tR.",
        "reconstructor": b"ccopyreg\n_reconstructor\n(csubprocess\nPopen\ncbuiltins\nobject\nNtR.",
        "code": b"ctypes\nCodeType\n(K\0tR.",
        "a model": b"c__main__\nNet\n)\x81}Vcommand\n" + text + b"sb.",
        "a function as a value": system + b".",
        "a function in a list": b"](" + system + b"e.",
        "a function as a key": b"}" + system + b"K\1s.",
    }  # fmt: skip


@pytest.mark.parametrize("name", acts(""))
def test_nothing_is_executed(tmp_path, write, name):
    marker = tmp_path / "marker"
    refuse(tmp_path / "w.pth", write(acts(marker)[name]))
    assert not marker.exists()


def test_the_same_pickles_run_in_python(tmp_path):
    """So the test before this one tries what would work."""
    for name in ("REDUCE", "STACK_GLOBAL", "INST", "OBJ", "exec", "open"):
        marker = tmp_path / name
        made = pickle.loads(acts(marker)[name])
        if name == "open":
            made.close()
        assert marker.exists(), name


@pytest.mark.parametrize("place", range(5))
def test_nothing_is_executed_in_any_pickle_of_the_old_format(tmp_path, place):
    marker = tmp_path / "marker"
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True}, {"a": 1}, [])]
    (tmp_path / "w.pth").write_bytes(b"".join(parts))
    assert watched(tmp_path / "w.pth") == {"a": 1}
    parts[place] = acts(marker)["REDUCE"]
    if place == 0:
        parts[0] = b"\x80\x02" + parts[0]
    refuse(tmp_path / "w.pth", b"".join(parts), "posix.system")
    assert not marker.exists()


def test_a_files_name_says_nothing_about_what_runs(tmp_path):
    marker = tmp_path / "marker"
    for name in ("w", "w.safetensors", "w.json"):
        (tmp_path / name).write_bytes(new_format(acts(marker)["REDUCE"]))
        with pytest.raises(fastnn.FileError, match=r"posix\.system"):
            fastnn.load(tmp_path / name)
    assert not marker.exists()


# ---- pickles ---------------------------------------------------------------------------------------------------------
def nested(count, opening, closing):
    return opening * count + closing * count + b"."


def int_of(number):
    content = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<I", len(content)) + content


def of_keys(*keys):
    return b"}(" + b"K\1".join(keys) + b"K\1u."


def many_tuples_of_one_hash(count):
    """hash(-1) == hash(-2), so that there are 65,536 tuples of these with one hash."""
    bits = (f"{number:016b}" for number in range(count))
    return of_keys(*(b"(" + b"".join(b"J" + struct.pack("<i", -1 - int(bit)) for bit in row) + b"t" for row in bits))


DOUBLED = b"]K\0a" + b"q\0]h\0ah\0a" * 1000
EMPTY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85c_codecs\nencode\n(Vb\nVlatin1\ntRtR"
ARRAY = pickle.dumps(np.zeros(3, np.uint8), 2)

PICKLES = {
    "lists nested 101 deep": (nested(101, b"]", b"a")[1:-2] + b"a.", "deep|takes more"),
    "lists nested 200,000 deep": (lambda: b"]" * 200_000 + b"a" * 199_999 + b".", "nested more than 100 deep"),
    "tuples nested 200,000 deep": (lambda: b")" + b"\x85" * 200_000 + b".", "nested more than 100 deep"),
    "dictionaries nested 100,000 deep": (lambda: b"}" + b"K\1}" * 100_000 + b"s" * 100_000 + b".", "100 deep"),
    "namespaces nested deep": (b"cargparse\nNamespace\n)\x81}Va\n" * 1000 + b"N" + b"sb" * 1000 + b".", "deep"),
    "attributes nested deep": (b"ccollections\nOrderedDict\n)R}Va\n" * 1000 + b"N" + b"sb" * 1000 + b".", "deep"),
    "marks nested deep": (lambda: b"(" * 1_000_000 + b".", "nested more than 1,000 deep"),
    "a list in itself": (b"]q\0h\0a.", "holds itself"),
    "a dictionary in itself": (b"}q\0K\1h\0s.", "holds itself"),
    "a tuple in its list": (b"]q\0h\0\x85a.", "holds itself"),
    "a dictionary among its attributes": (b"ccollections\nOrderedDict\n)Rq\0}Va\nh\0sb.", "holds itself"),
    "a namespace in itself": (b"cargparse\nNamespace\n)\x81q\0}Va\nh\0sb.", "holds itself"),
    # keys
    "integers of equal hashes": (lambda: of_keys(*(int_of(k * (2**61 - 1)) for k in range(1, 50_000))), "60 bits"),
    "integers of equal hashes, in a set": (lambda: b"\x80\x04\x8f(" + b"".join(
        int_of(k * (2**61 - 1)) for k in range(1, 50_000)) + b"\x90.", "60 bits"),
    "integers of equal hashes, in a frozenset": (lambda: b"\x80\x04(" + b"".join(
        int_of(k * (2**61 - 1)) for k in range(1, 50_000)) + b"\x91.", "60 bits"),
    "integers of equal hashes, in a Counter": (lambda: b"ccollections\nCounter\n(" + of_keys(
        *(int_of(k * (2**61 - 1)) for k in range(1, 50_000)))[:-1] + b"tR.", "60 bits"),
    "integers of equal hashes, in pairs": (lambda: b"ccollections\nOrderedDict\n((" + b"".join(
        int_of(k * (2**61 - 1)) + b"N\x86" for k in range(1, 50_000)) + b"ltR.", "60 bits"),
    "tuples of equal hashes": (lambda: many_tuples_of_one_hash(20_000), "tuples are keys"),
    "a key nested deep": (of_keys(b")" + b"\x85" * 1000), "a key in it is a tuple"),
    "a long tuple as key": (lambda: of_keys(b"(" + b"N" * 1000 + b"t"), "a key in it is a tuple"),
    "a list as key": (of_keys(b"]"), "a key in it is a list"),
    "a frozenset as key": (of_keys(b"\x80\x04(\x91"), "a key in it is a frozenset"),
    "a complex number as key": (of_keys(b"cbuiltins\ncomplex\n(G" + bytes(8) + b"G" + bytes(8) + b"tR"), "complex"),
    # numbers
    "a million digits": (lambda: b"L" + b"9" * 1_000_000 + b"L\n.", "more than 4,300 characters"),
    "a million digits of an int": (lambda: b"I" + b"9" * 1_000_000 + b"\n.", "more than 4,300 characters"),
    "a million digits of a float": (lambda: b"F" + b"9" * 1_000_000 + b"\n.", "more than 4,300 characters"),
    "a million digits of a place": (lambda: b"Np" + b"9" * 1_000_000 + b"\n.", "more than 4,300 characters"),
    "no digits": (b"Lx\n.", "no digits"),
    "underscores": (b"I1__0\n.", "no digits"),
    "a long integer that is not there": (b"\x80\x02\x8b\xff\xff\xff\xff.", "truncated"),
    "a negative length": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "truncated"),
    "bytes that are not there": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "truncated"),
    "a text that is not there": (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.", "truncated"),
    "no UTF-8": (b"\x80\x04\x8c\x01\xff.", "no UTF-8"),
    "wrong escapes": (b"V\\U99999999\n.", "wrong escapes"),
    "a long name": (lambda: b"c" + b"a" * 100_000 + b"\nb\n.", "more than 1,000 characters"),
    "a name of no characters": (b"c\n\n.", "which is not read"),
    "a name of no text": (b"\x80\x04K\1K\2\x93.", "no text"),
    # memory
    "many lists": (lambda: b"](" + b"]" * 3_000_000 + b"e.", "memory"),
    "many sets": (lambda: b"\x80\x04](" + b"\x8f" * 3_000_000 + b"e.", "memory"),
    "many dictionaries": (lambda: b"](" + b"}" * 3_000_000 + b"e.", "memory"),
    "many dictionaries as values": (lambda: b"}(" + b"".join(b"J" + struct.pack("<i", k) + b"}" for k in range(600_000))
                                    + b"u.", "memory"),
    "many things": (lambda: b"(" + b"N" * 2_500_000 + b"t.", "lists more than"),
    "many copies": (lambda: b"N" + b"2" * 2_500_000 + b".", "lists more than"),
    "many places in the memo": (lambda: b"N" + b"".join(
        b"r" + struct.pack("<I", k << 8) for k in range(1, 800_000)) + b".", "memory"),
    "a place beyond all": (b"Np99999999999\n.", "beyond all counting"),
    "a negative place": (b"Np-1\n.", "beyond all counting"),
    "nothing at a place": (b"j\xff\xff\xff\xff.", "refers to"),
    "a negative reference": (b"Nq\0g-1\n.", "refers to"),
    "a list of a list, a thousand times": (DOUBLED + b".", "nested more than 100 deep"),
    # the stack
    "nothing": (b".", "takes more than"),
    "nothing to append": (b"a.", "takes more than"),
    "no mark": (b"Nt.", "mark"),
    "a mark above the stack": (b"N(0t.", "mark"),
    "a mark that is gone": (b"]N(00e.", "mark|takes more"),
    "append to a number": (b"K\1K\2a.", "no list"),
    "items of a list": (b"]K\1K\2s.", "no dictionary"),
    "an odd count of items": (b"}(K\1u.", "no dictionary"),
    "items for no set": (b"\x80\x04](K\1\x90.", "no set"),
    "a call without arguments": (b"ctorch\nSize\nNR.", "without arguments"),
    "a call of a number": (b"K\1)R.", "no function"),
    "a call of a class": (b"cnumpy\nndarray\n)R.", "no function"),
    "a call of int": (b"cbuiltins\nint\n(V9\ntR.", "calls int"),
    "no instruction": (b"\xff.", "no instruction"),
    "protocol 6": (b"\x80\x06N.", "protocol 6"),
    "more behind its end": (b"N.\xff", "behind the end|no instruction"),
    # objects
    "an OrderedDict of no pairs": (b"ccollections\nOrderedDict\n(](K\1etR.", "pairs"),
    "an OrderedDict of a text": (b"ccollections\nOrderedDict\n(Vab\ntR.", "not made of a list"),
    "attributes that hide methods": (b"ccollections\nOrderedDict\n)R}Vitems\nNsb.", "sets the attribute 'items'"),
    "attributes that are no dictionary": (b"ccollections\nOrderedDict\n)RK\1b.", "have no names"),
    "attributes without names": (b"cargparse\nNamespace\n)\x81}K\1Nsb.", "have no names"),
    "a size of texts": (b"ctorch\nSize\n(](Va\netR.", "no sides"),
    "a device of a number": (b"ctorch\ndevice\n(K\1tR.", "no name"),
    "bytes in UTF-8": (b"c_codecs\nencode\n(Va\nVutf-8\ntR.", "Latin-1"),
    "bytes beyond Latin-1": (b"c_codecs\nencode\n(V\\u1234\nVlatin1\ntR.", "Latin-1"),
    "a million bytes of a number": (b"cbuiltins\nbytearray\n(J\0\0\0\x40tR.", "Latin-1"),
    "a complex number of texts": (b"cbuiltins\ncomplex\n(V1\nV2\ntR.", "no parts"),
    "an array that stays empty": (EMPTY + b".", "no content"),
    "an array of a gigabyte": (ARRAY.replace(b"K\3\x85", b"J\0\0\0\x40\x85"), "3 bytes"),
    "an array of negative sides": (ARRAY.replace(b"K\3\x85", b"J\xfd\xff\xff\xff\x85"), "no shape"),
    "an array of huge sides": (ARRAY.replace(b"K\3\x85", b"K\0\x8a\x08" + b"\0" * 7 + b"\x7f\x86"), "no shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_pickle_is_refused(tmp_path, write, name):
    content, words = made(PICKLES, name)
    refuse(tmp_path / "w.pth", write(content), words)


def test_tuples_of_equal_hashes_that_are_read_take_no_time():
    content = new_format(many_tuples_of_one_hash(4096))
    start = time.process_time()
    assert len(read_pth(io.BytesIO(content))) == 4096
    assert time.process_time() - start < SECONDS


def test_objects_that_share_parts_are_looked_at_once():
    content = b"](K\0e" + b"q\0]h\0ah\0a" * 99 + b"."
    start = time.process_time()
    loaded = read_pth(io.BytesIO(new_format(content)))
    assert time.process_time() - start < SECONDS
    assert loaded[0] is loaded[1]
