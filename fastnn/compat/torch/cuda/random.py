"""torch.cuda.random: the random numbers of GPUs, which nothing draws from."""

from collections.abc import Iterable
from typing import Any

from fastnn.compat.torch import _random
from fastnn.compat.torch._missing import missing

__all__ = [
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
]


def manual_seed(seed: int) -> None:
    """Nothing, as in PyTorch without a GPU: `torch.manual_seed` seeds what is drawn here."""
    int(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Nothing: there is no GPU."""


seed_all = seed


def initial_seed() -> int:
    """What `torch.manual_seed` got."""
    return _random.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the CPU's numbers: there are no others."""
    return _random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Go on from the state that `get_rng_state` gave."""
    _random.set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """One state for each GPU: none."""
    return []


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """One state for each GPU: none."""
    if list(new_states):
        raise RuntimeError("set_rng_state_all: there are states of GPUs, and there is no GPU")


__getattr__ = missing(__name__)
