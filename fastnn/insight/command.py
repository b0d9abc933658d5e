"""`fastnn explain`."""

import argparse

from fastnn import _user_network, models, training
from fastnn.insight.explanation import explain

__all__ = ["explain_command"]


def explain_command(arguments: argparse.Namespace) -> None:
    """Print the explanation of what the command line names."""
    name, shape = arguments.what, None
    if arguments.shape is not None:
        try:
            shape = tuple(int(size) for size in arguments.shape.split(","))
        except ValueError:
            given = f"Received: {arguments.shape!r}"
            raise ValueError(f"--shape must be integers with commas, as in 128,64,16,16. {given}") from None
    is_network = _user_network.is_user_network(name) or name in {*training.RECIPES, *models.names()}
    what = _user_network.network_of(name) if is_network else name
    with _user_network.user_code(name):
        print(explain(what, shape))
