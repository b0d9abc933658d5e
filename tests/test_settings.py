"""Settings that hold within a block: checked at the call, undone whatever happens."""

import threading

import numpy as np
import pytest
from oracle import output_of

import fastnn
from fastnn import _runtime, _setting

SETTINGS = [
    (fastnn.backend, "reference", _runtime.uses_reference),
    (fastnn.conv2d_algorithm, "im2col", _runtime.conv2d_algorithm),
    (fastnn.joined_layers, False, _runtime.joined_layers),
    (fastnn.num_threads, 7, fastnn.num_threads),
    (fastnn.isa, "baseline", fastnn.isa),
]


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        *(
            (setting, value, ValueError)
            for setting in (fastnn.backend, fastnn.conv2d_algorithm)
            for value in ("", "no")
        ),
        *(
            (setting, value, TypeError)
            for setting in (fastnn.backend, fastnn.conv2d_algorithm)
            for value in (None, 1, [])
        ),
        (fastnn.joined_layers, 2, ValueError),
        (fastnn.joined_layers, 2**64, ValueError),
        *((fastnn.joined_layers, value, TypeError) for value in (None, "off", 0.0, np.float16(1), [True])),
        (fastnn.set_flush_denormal, 2**64, ValueError),
        *((fastnn.set_flush_denormal, value, TypeError) for value in (None, "off", 1.0, [])),
    ],
)
def test_settings_are_checked_at_the_call(setting, value, error):
    """Not at the beginning of a block that may never come."""
    with pytest.raises(error, match=rf"^{setting.__name__}: "):
        setting(value)


@pytest.mark.parametrize("on", [True, 1, np.bool_(True), np.int8(1)])
def test_settings_joined_layers_takes_what_is_true(on):
    with fastnn.joined_layers(False):
        with fastnn.joined_layers(on):
            assert _runtime.joined_layers() is True
        with fastnn.joined_layers(not on):
            assert _runtime.joined_layers() is False


@pytest.mark.parametrize(("setting", "value", "now"), SETTINGS)
def test_settings_hold_within_the_block_only(setting, value, now):
    before = now()
    made = setting(value)
    assert now() == before
    with made:
        inside = now()
        assert inside != before
    assert now() == before
    with pytest.raises(KeyError), setting(value):
        raise KeyError
    assert now() == before


@pytest.mark.parametrize(("setting", "value", "now"), SETTINGS)
def test_settings_decorate_functions(setting, value, now):
    @setting(value)
    def recursive(depth):
        seen.append(now())
        if depth:
            recursive(depth - 1)
            seen.append(now())

    before, seen = now(), []
    for _ in range(2):
        recursive(2)
    assert now() == before
    with setting(value):
        assert seen == [now()] * 10


@pytest.mark.parametrize(("setting", "value", "now"), SETTINGS)
def test_settings_end_when_their_block_is_lost(setting, value, now):
    """As when an interrupt comes after the setting and before the block."""
    before = now()
    made = setting(value)
    made.__enter__()
    assert now() != before
    del made
    assert now() == before


def test_settings_are_undone_if_an_interrupt_follows_at_once():
    class Variable:
        value = "before"

        def get(self):
            return self.value

        def set(self, value):
            self.value, was = value, self.value
            if was == "before":
                raise KeyboardInterrupt

    variable = Variable()
    with pytest.raises(KeyboardInterrupt), _setting.set_within(variable, "within"):
        pass
    assert variable.value == "before"


@pytest.mark.parametrize(("setting", "value", "now"), SETTINGS)
def test_settings_without_an_argument_tell_their_value(setting, value, now):
    assert setting() == setting()
    with setting(value):
        assert setting() == value


@pytest.mark.parametrize(("name", "value"), [("JOINED_LAYERS", "0"), ("BACKEND", "reference"), ("NUM_THREADS", "7"),
                                            ("CONV2D_ALGORITHM", "im2col"), ("ISA", "baseline")])  # fmt: skip
def test_settings_come_from_the_environment(name, value):
    code = f"import fastnn; print(str(fastnn.{name.lower()}()))"
    assert output_of(code, **{f"FASTNN_{name}": value}) == {"0": "False"}.get(value, value)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (4097, ValueError), ("2", TypeError), (None, TypeError)])
def test_settings_num_threads_within_a_block_is_checked_at_the_call(n, error):
    with pytest.raises(error, match=r"^num_threads: n must be"):
        fastnn.num_threads(n)


def test_settings_num_threads_within_a_block_is_of_its_thread():
    before, seen = fastnn.num_threads(), []
    with fastnn.num_threads(before + 1):
        thread = threading.Thread(target=lambda: seen.append(fastnn.num_threads()))
        thread.start()
        thread.join()
    assert seen == [before]
