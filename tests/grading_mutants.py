"""Functions made of an operation's own computation, with mistakes: for the tests of `fastnn.grading`."""

import inspect

import numpy as np

from fastnn.grading.calling import quiet, values_of_roles

_SPECIAL = {"ln_param", "conv_param", "pool_param", "bn_param", "dropout_param", "config", "params", "cache"}


def plain_forms(part):
    """Forms whose parameters are inputs and whose results are returned as they are."""
    return [form for form in part.forms if not _SPECIAL & set(form.required)]


def _key(values, form):
    return tuple(np.asarray(values[role]).tobytes() for role in form.required if not callable(values[role]))


def student(operation, part, form, wrong=(), seed=0, **settings):
    """A function of this form that computes what the operation does, with mistakes.

    It knows the cases, and so also the inputs that are not among its parameters.
    """
    index = [own.name for own in operation.parts].index(part.name)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    cases = [form.adapted(case) for case in part.cases(rng, {**operation.settings, **settings})]
    known = {_key(values_of_roles(form, case), form): case.inputs for case in cases}
    roles = [*form.required, *form.optional]

    def function(*arguments):
        inputs = known[_key(dict(zip(roles, arguments, strict=True)), form)]
        with quiet():
            results = part.compute(inputs, frozenset(wrong))
        names = [name for name in form.results if name != "x_afterwards"]
        if len(names) < len(form.results):  # what it leaves x as
            arguments[roles.index("x")][...] = results["x_afterwards"]
        values = [np.asarray(results[name]) for name in names]
        values = [v.T if n in form.transposed else v for n, v in zip(names, values, strict=True)]
        return values[0] if len(values) == 1 else tuple(values)

    parameters = [inspect.Parameter(role, inspect.Parameter.POSITIONAL_OR_KEYWORD) for role in roles]
    function.__signature__ = inspect.Signature(parameters)
    return function
