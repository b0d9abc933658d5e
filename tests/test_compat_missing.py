"""Names that PyTorch has and fastnn has not."""

import sys
import types

import pytest

from fastnn.compat.torch._missing import missing


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("fastnn.compat.torch.made_up")
    made.__getattr__ = missing(made.__name__, {"Conv9d": "use Conv2d"})
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_a_name_with_advice_says_what_to_use(module):
    with pytest.raises(AttributeError) as error:
        module.Conv9d  # noqa: B018
    assert str(error.value) == "torch.made_up.Conv9d is not in fastnn: use Conv2d"


def test_a_name_without_advice_says_where_to_look(module):
    with pytest.raises(AttributeError) as error:
        module.Other  # noqa: B018
    assert str(error.value) == "torch.made_up.Other is not in fastnn; what is there: help(fastnn.compat.torch.made_up)"


def test_an_import_keeps_the_advice(module):
    with pytest.raises(ImportError) as error:
        exec("from fastnn.compat.torch.made_up import Conv9d")
    assert str(error.value) == "torch.made_up.Conv9d is not in fastnn: use Conv2d"


def test_a_question_is_answered_with_no(module):
    assert not hasattr(module, "Conv9d")
    assert getattr(module, "Conv9d", 3) == 3
    assert not hasattr(module, "__wrapped__")
