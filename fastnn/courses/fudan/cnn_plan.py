"""Fudan, project 2: how much is done with which images."""

import math
from typing import NamedTuple

from fastnn import data
from fastnn.courses.context import Context

__all__ = ["VALIDATION_IMAGES", "Images", "Plan", "count", "load", "make_plan"]

VALIDATION_IMAGES = 5000  # the last ones of the training images


class Plan(NamedTuple):
    """How much is done: images and epochs of the studies and of the final network, points of the landscapes."""

    n_items: int
    epochs: int
    n_final: int
    final_epochs: int
    n_validation: int
    n_test: int
    steps_1d: int
    steps_2d: int
    landscape_images: int


class Images(NamedTuple):
    """What the studies and the final network are trained on, what they are judged by, and what is looked at last."""

    study: data.Dataset
    final: data.Dataset
    validation: data.Dataset
    test: data.Dataset


def make_plan(context: Context) -> Plan:
    """Of a quick or a full run, with the user's options."""
    if context.quick:
        n_items, epochs = context.option("n_items", 512), context.option("epochs", 1)
        return Plan(n_items, epochs, 1024, epochs, 200, 500, steps_1d=5, steps_2d=3, landscape_images=64)
    n_items, epochs = context.option("n_items", 15_000), context.option("epochs", 8)
    final_epochs, n_validation = math.ceil(1.5 * epochs), VALIDATION_IMAGES
    return Plan(
        n_items, epochs, 45_000, final_epochs, n_validation, 10_000, steps_1d=21, steps_2d=15, landscape_images=500
    )


def load(context: Context, plan: Plan) -> Images:
    """CIFAR-10, in parts that do not overlap but for the training images of studies and final network."""
    train, test = context.cifar10()
    rest = len(train) - VALIDATION_IMAGES
    if not 1 <= plan.n_items <= rest:
        raise ValueError(f"fudan-cnn: n_items must lie between 1 and {rest}. Received: {plan.n_items}")
    if plan.epochs < 1:
        raise ValueError(f"fudan-cnn: epochs must be at least 1. Received: {plan.epochs}")
    return Images(
        train.subset(slice(0, plan.n_items)),
        train.subset(slice(0, plan.n_final)),
        train.subset(slice(rest, rest + plan.n_validation)),
        test.subset(slice(0, plan.n_test)),
    )


def count(n: int, thing: str) -> str:
    """For people: '1 epoch', '6 epochs'."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
