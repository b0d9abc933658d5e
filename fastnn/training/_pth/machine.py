"""A machine for pickles that runs nothing but what it knows.

A pickle is a program for a small stack machine that can import and call any function. This one knows the instructions
that Python's and PyTorch's picklers write for data, in protocols 0 to 5. Names of functions and classes go to a table
of stand-ins (`allowed.py`), and to nothing else: no module is imported, no attribute is looked up. Numbers, texts and
lists are made here; what is nested, hashed or remembered is limited before it takes memory or time.
"""

import sys
import types
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fastnn.training._pth.errors import Budget, Truncated, Unreadable

__all__ = ["DICT_ITEM", "KeyLimit", "Machine", "StandIn"]

_HIGHEST_PROTOCOL = 5
_DEEPEST_MARKS = 1000
_LONGEST_STACK = 1 << 21
_LONGEST_NAME = 1000  # of a module and a function
_MOST_DIGITS = 4300  # Python's own limit; more would take quadratic time
_LARGEST_INDEX = 1 << 32
# Bytes that an object takes, about, and what each item of it adds.
_LIST, _DICT, _SET, _BYTES, _NUMBER = 88, 150, 216, 48, 32
_LIST_ITEM, DICT_ITEM = 10, 60
_MEMO_ITEM, _SPARSE_ITEM = 9, 200
# Numbers up to here have hashes of their own, and texts have random ones. Tuples can be made to have equal ones.
_LARGEST_KEY = 1 << 60
_MOST_TUPLES_AS_KEYS, _LONGEST_TUPLE_AS_KEY = 4096, 16

_NUMBERS_AS_KEYS = (int, float, np.integer, np.floating, np.bool_)


class StandIn:
    """Takes the place of a function, a class or another thing that is no data. None of them is part of a result."""


class Calls(Protocol):
    """What a machine asks for everything that is not plain data."""

    budget: Budget
    keys: "KeyLimit"

    def find(self, name: str) -> Any: ...

    def call(self, function: Any, arguments: tuple[Any, ...], label: Any) -> Any: ...

    def build(self, target: Any, state: Any) -> None: ...

    def persistent(self, identity: Any) -> Any: ...


class Machine:
    """Runs one pickle.

    Args:
        content: bytes in which the pickle begins at `position`, which `run` moves behind its end.
        calls: stand-ins for all that is named, and the memory for its objects.
    """

    def __init__(self, content: bytes, position: int, calls: Calls) -> None:
        self._content, self.position = content, position
        self._calls, self._budget, self._keys = calls, calls.budget, calls.keys
        self._stack: list[Any] = []
        self._marks: list[int] = []  # lengths of the stack
        # Picklers count from 0 upwards; only hand-made pickles have gaps.
        self._memo: list[Any] = []
        self._sparse_memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object that the pickle describes.

        Raises:
            Truncated: the bytes end before the pickle does.
            Unreadable: it is damaged, or does something that data does not need.
        """
        while True:
            code = self._take(1)
            if code == b".":
                return self._pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Unreadable(_REFUSED.get(code) or f"damaged, or no pickle: {code!r} is no instruction of one")
            instruction(self)
            if len(self._stack) > _LONGEST_STACK:
                raise Unreadable(f"refused, a pickle that lists more than {_LONGEST_STACK:,} things at once")

    # ---- bytes -------------------------------------------------------------------------------------------------------
    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._content):
            raise Truncated("truncated within its pickle")
        content = self._content[self.position : end]
        self.position = end
        return content

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _signed(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little", signed=True)

    def _line(self, longest: int) -> bytes:
        end = self._content.find(b"\n", self.position, self.position + longest + 1)
        if end < 0:
            if self.position + longest < len(self._content):
                raise Unreadable(f"damaged, a line of its pickle has more than {longest:,} characters")
            raise Truncated("truncated within its pickle")
        return self._take(end + 1 - self.position)[:-1]

    def _line_number(self) -> int:
        try:
            return int(self._line(_MOST_DIGITS).removesuffix(b"L"))
        except ValueError:
            raise Unreadable("damaged, a number of its pickle has no digits") from None

    # ---- stack -------------------------------------------------------------------------------------------------------
    def _pop(self) -> Any:
        if not self._stack:
            raise Unreadable("damaged, its pickle takes more than it has put down")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise Unreadable("damaged, its pickle takes more than it has put down")
        return self._stack[-1]

    def _mark(self) -> None:
        if len(self._marks) >= _DEEPEST_MARKS:
            raise Unreadable(f"refused, its pickle is nested more than {_DEEPEST_MARKS:,} deep")
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        if not self._marks or self._marks[-1] > len(self._stack):
            raise Unreadable("damaged, a mark of its pickle is gone")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    # ---- plain values ------------------------------------------------------------------------------------------------
    def _push(self, value: Any, n_bytes: int) -> None:
        self._budget.take(n_bytes)
        self._stack.append(value)

    def _push_bool_or_number(self) -> None:
        line = self._line(_MOST_DIGITS)
        if line in (b"00", b"01"):
            self._stack.append(line == b"01")
            return
        try:
            self._push(int(line), _NUMBER + len(line))
        except ValueError:
            raise Unreadable("damaged, a number of its pickle has no digits") from None

    def _push_line_of_digits(self) -> None:
        number = self._line_number()
        self._push(number, _NUMBER + number.bit_length() // 8)

    def _push_long(self, size: int) -> None:
        self._push(int.from_bytes(self._take(size), "little", signed=True), _NUMBER + size)

    def _push_float(self) -> None:
        self._push(float(np.frombuffer(self._take(8), ">f8")[0]), _NUMBER)

    def _push_line_of_a_float(self) -> None:
        try:
            self._push(float(self._line(_MOST_DIGITS)), _NUMBER)
        except ValueError:
            raise Unreadable("damaged, a number of its pickle has no digits") from None

    def _push_bytes(self, size: int) -> None:
        self._push(self._take(size), _BYTES + size)

    def _push_bytearray(self, size: int) -> None:
        self._push(bytearray(self._take(size)), _BYTES + size)

    def _push_text(self, size: int) -> None:
        try:
            text = self._take(size).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Unreadable("damaged, a text of its pickle is no UTF-8") from None
        self._push(text, sys.getsizeof(text))

    def _push_line_of_text(self) -> None:
        try:
            text = self._line(len(self._content)).decode("raw-unicode-escape")
        except UnicodeDecodeError:
            raise Unreadable("damaged, a text of its pickle has wrong escapes") from None
        self._push(text, sys.getsizeof(text))

    def _push_string_of_python2(self, size: int) -> None:
        """Python 2 made no difference between texts and bytes: a text if it can be one."""
        content = self._take(size)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            self._push(content, _BYTES + size)
        else:
            self._push(text, sys.getsizeof(text))

    # ---- containers --------------------------------------------------------------------------------------------------
    def _push_tuple(self, items: list[Any]) -> None:
        self._push(tuple(items), _LIST + 8 * len(items))

    def _push_tuple_of(self, length: int) -> None:
        items = [self._pop() for _ in range(length)]
        self._push_tuple(items[::-1])

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise Unreadable("damaged, its pickle appends to what is no list")
        self._budget.take(_LIST_ITEM * len(items))
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, OrderedDict, defaultdict, Counter) or len(items) % 2:
            raise Unreadable("damaged, its pickle sets items of what is no dictionary")
        keys = items[::2]
        self._keys.check(keys)
        self._budget.take(DICT_ITEM * len(keys))
        for key, value in zip(keys, items[1::2], strict=True):
            target[key] = value

    def _push_dict(self, items: list[Any]) -> None:
        self._push({}, _DICT)
        self._set_items(items)

    def _push_list(self, items: list[Any]) -> None:
        self._push([], _LIST)
        self._append(items)

    def _add_items(self) -> None:
        items, target = self._since_mark(), self._top()
        if type(target) is not set:
            raise Unreadable("damaged, its pickle adds items to what is no set")
        self._keys.check(items)
        self._budget.take(DICT_ITEM * len(items))
        target.update(items)

    def _push_frozenset(self) -> None:
        items = self._since_mark()
        self._keys.check(items)
        self._push(frozenset(items), _SET + DICT_ITEM * len(items))

    # ---- memory ------------------------------------------------------------------------------------------------------
    def _remember(self, index: int) -> None:
        if index == len(self._memo):
            self._budget.take(_MEMO_ITEM)
            self._memo.append(self._top())
        elif 0 <= index < len(self._memo):
            self._memo[index] = self._top()
        elif 0 <= index < _LARGEST_INDEX:
            self._budget.take(_SPARSE_ITEM)
            self._sparse_memo[index] = self._top()
        else:
            raise Unreadable("damaged, its pickle numbers things beyond all counting")

    def _remember_next(self) -> None:
        self._remember(len(self._memo) + len(self._sparse_memo))

    def _recall(self, index: int) -> None:
        if 0 <= index < len(self._memo):
            self._stack.append(self._memo[index])
        elif index in self._sparse_memo:
            self._stack.append(self._sparse_memo[index])
        else:
            raise Unreadable("damaged, its pickle refers to what it has not numbered")

    # ---- everything that has a name ----------------------------------------------------------------------------------
    def _push_global(self) -> None:
        module, name = self._line(_LONGEST_NAME), self._line(_LONGEST_NAME)
        self._stack.append(self._calls.find(f"{module.decode('utf-8', 'replace')}.{name.decode('utf-8', 'replace')}"))

    def _push_global_of_texts(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str or len(name) + len(module) > _LONGEST_NAME:
            raise Unreadable("damaged, a name in its pickle is no text")
        self._stack.append(self._calls.find(f"{module}.{name}"))

    def _call(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(arguments) is not tuple:
            raise Unreadable("damaged, its pickle calls something without arguments")
        # What stands below is the key under which the result will stand: a name for messages.
        label = self._stack[-1] if self._stack else None
        self._stack.append(self._calls.call(function, arguments, label))

    def _build(self) -> None:
        state = self._pop()
        self._calls.build(self._top(), state)

    def _push_persistent(self) -> None:
        self._stack.append(self._calls.persistent(self._pop()))

    def _protocol(self) -> None:
        if (number := self._unsigned(1)) > _HIGHEST_PROTOCOL:
            raise Unreadable(
                f"written in the pickle protocol {number}; {_HIGHEST_PROTOCOL} is the highest that is read"
            )

    def _drop(self) -> None:
        self._pop()

    def _drop_mark(self) -> None:
        self._since_mark()

    def _frame(self) -> None:
        self._take(8)  # how far to read ahead; the bytes are here already


class KeyLimit:
    """Counts the keys that could be made to have equal hashes, with which a dictionary takes quadratic time."""

    def __init__(self) -> None:
        self._tuples_left = _MOST_TUPLES_AS_KEYS

    def check(self, keys: list[Any]) -> None:
        for key in keys:
            if type(key) is tuple and len(key) <= _LONGEST_TUPLE_AS_KEY:
                self._tuples_left -= 1
                if self._tuples_left < 0:
                    raise Unreadable(f"refused, more than {_MOST_TUPLES_AS_KEYS:,} tuples are keys in it")
                _check_atoms(key)
            else:
                _check_atoms((key,))


def _check_atoms(keys: tuple[Any, ...]) -> None:
    for key in keys:
        if key is None or type(key) in (str, bytes, bool):
            continue
        if not isinstance(key, _NUMBERS_AS_KEYS):
            raise Unreadable(f"refused, a key in it is a {type(key).__name__}; only texts, numbers and tuples are read")
        if isinstance(key, int | np.integer) and abs(int(key)) >= _LARGEST_KEY:
            raise Unreadable("refused, a key in it is an integer of more than 60 bits")


# Their names are in Python's `pickletools`.
_INSTRUCTIONS: types.MappingProxyType[bytes, Callable[[Machine], None]] = types.MappingProxyType({
    # numbers, texts, bytes
    b"N": lambda m: m._push(None, 0),
    b"\x88": lambda m: m._push(True, 0),
    b"\x89": lambda m: m._push(False, 0),
    b"I": Machine._push_bool_or_number,
    b"L": Machine._push_line_of_digits,
    b"J": lambda m: m._push(m._signed(4), _NUMBER),
    b"K": lambda m: m._push(m._unsigned(1), 0),
    b"M": lambda m: m._push(m._unsigned(2), _NUMBER),
    b"\x8a": lambda m: m._push_long(m._unsigned(1)),
    b"\x8b": lambda m: m._push_long(m._unsigned(4)),
    b"F": Machine._push_line_of_a_float,
    b"G": Machine._push_float,
    b"V": Machine._push_line_of_text,
    b"X": lambda m: m._push_text(m._unsigned(4)),
    b"\x8c": lambda m: m._push_text(m._unsigned(1)),
    b"\x8d": lambda m: m._push_text(m._unsigned(8)),
    b"U": lambda m: m._push_string_of_python2(m._unsigned(1)),
    b"T": lambda m: m._push_string_of_python2(m._unsigned(4)),
    b"C": lambda m: m._push_bytes(m._unsigned(1)),
    b"B": lambda m: m._push_bytes(m._unsigned(4)),
    b"\x8e": lambda m: m._push_bytes(m._unsigned(8)),
    b"\x96": lambda m: m._push_bytearray(m._unsigned(8)),
    # containers
    b"]": lambda m: m._push([], _LIST),
    b"l": lambda m: m._push_list(m._since_mark()),
    b"a": lambda m: m._append([m._pop()]),
    b"e": lambda m: m._append(m._since_mark()),
    b")": lambda m: m._push((), 0),
    b"t": lambda m: m._push_tuple(m._since_mark()),
    b"\x85": lambda m: m._push_tuple_of(1),
    b"\x86": lambda m: m._push_tuple_of(2),
    b"\x87": lambda m: m._push_tuple_of(3),
    b"}": lambda m: m._push({}, _DICT),
    b"d": lambda m: m._push_dict(m._since_mark()),
    b"s": lambda m: m._set_items([m._pop(), m._pop()][::-1]),
    b"u": lambda m: m._set_items(m._since_mark()),
    b"\x8f": lambda m: m._push(set(), _SET),
    b"\x90": Machine._add_items,
    b"\x91": Machine._push_frozenset,
    # the stack and the memo
    b"(": Machine._mark,
    b"0": Machine._drop,
    b"1": Machine._drop_mark,
    b"2": lambda m: m._push(m._top(), 0),
    b"p": lambda m: m._remember(m._line_number()),
    b"q": lambda m: m._remember(m._unsigned(1)),
    b"r": lambda m: m._remember(m._unsigned(4)),
    b"\x94": Machine._remember_next,
    b"g": lambda m: m._recall(m._line_number()),
    b"h": lambda m: m._recall(m._unsigned(1)),
    b"j": lambda m: m._recall(m._unsigned(4)),
    # names
    b"c": Machine._push_global,
    b"\x93": Machine._push_global_of_texts,
    b"R": Machine._call,
    b"\x81": Machine._call,  # makes an object of a class; the table says which classes have one
    b"b": Machine._build,
    b"Q": Machine._push_persistent,
    # the pickle itself
    b"\x80": Machine._protocol,
    b"\x95": Machine._frame,
})  # fmt: skip
_WHOLE_OBJECT = "refused, its pickle makes objects of classes in a way that no state_dict needs"
_REFUSED = {
    b"i": _WHOLE_OBJECT,
    b"o": _WHOLE_OBJECT,
    b"\x92": _WHOLE_OBJECT,
    b"\x82": "refused, its pickle names functions by numbers of a registry",
    b"\x83": "refused, its pickle names functions by numbers of a registry",
    b"\x84": "refused, its pickle names functions by numbers of a registry",
    b"P": "refused, its pickle refers to things outside of the file",
    b"S": "written by Python 2 in the pickle protocol 0, which is not read",
    b"\x97": "refused, its pickle refers to things outside of the file",
    b"\x98": "refused, its pickle refers to things outside of the file",
}
