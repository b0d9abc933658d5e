"""What the state of a training looks like, checked before any of it is used."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["check_state"]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_texts_to(is_value: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) and is_value(item) for key, item in value.items())
    )


def _is_list_of(is_item: Callable[[Any], bool], length: int | None = None) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list | tuple) and length in (None, len(value)) and all(is_item(item) for item in value)
    )


def _is_or_none(is_value: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_value(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _is_callback(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and _is_text(value[0]) and _is_mapping(value[1])


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "config": _is_or_none(_is_mapping),
    "step": _is_count,
    "batches_per_epoch": _is_count,
    "loader_seed": lambda value: value is None or type(value) is int,
    "model": _is_texts_to(_is_array),
    "preprocessing": _is_or_none(_is_mapping),
    "optimizer": _is_mapping,
    "scheduler": _is_or_none(_is_mapping),
    "random": _is_mapping,
    "callbacks": _is_list_of(_is_callback),
    "history": _is_mapping,
    "history.rows": _is_list_of(_is_texts_to(lambda _: True)),
    "history.steps": _is_list_of(_is_texts_to(_is_number)),
    "history.open": _is_list_of(_is_texts_to(_is_number)),
    "history.per_record": lambda value: _is_count(value) and value >= 1,
    "meter": _is_mapping,
    "meter.images": _is_count,
    "meter.loss": _is_list_of(_is_number, 2),
    "meter.sums": _is_texts_to(_is_list_of(_is_number, 2)),
    "seconds": _is_list_of(_is_number, 2),
    "images_seen": _is_count,
    "lr": _is_number,
    "stop_reason": _is_or_none(_is_text),
}


def check_state(state: Any) -> None:
    """Raise ValueError unless `state` is built as `Trainer.state_dict` builds one. Nothing is changed."""
    if not isinstance(state, Mapping):
        raise ValueError(f"a training's state is a dictionary, not a {type(state).__name__}")
    for path, is_right in _FIELDS.items():
        value: Any = state
        for name in path.split("."):
            if name not in value:
                raise ValueError(f"it lacks {path}")
            value = value[name]
        if not is_right(value):
            raise ValueError(f"its {path} is not what it should be")
    if not _is_texts_to(_is_array)(state.get("criterion", {})):  # only of a criterion with parameters
        raise ValueError("its criterion is not what it should be")
    if not _is_or_none(_is_count)(state.get("shards")):  # only of a training with shards
        raise ValueError("its shards is not what it should be")
