"""What an operation consists of: its parts, the signatures that they may have, their cases, and their mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANY", "Case", "Form", "Inputs", "Misfit", "Operation", "PartOfOperation", "Results", "Settings", "Wrong"]

# Names of arrays and settings -> their values.
Inputs = dict[str, Any]
Results = dict[str, Any]
Settings = Mapping[str, Any]
# The default of a parameter that a function need not take, whatever its value in a case.
ANY = object()
# The mistakes that a computation is asked to make, by their phrases.
Wrong = frozenset[str]


class Misfit(Exception):
    """A function, or what it returned, is not of an accepted form; the message says how, for the student."""


@dataclass(frozen=True)
class Case:
    """Inputs for one call.

    Attributes:
        label: for the report: "N=5, D=4".
        inputs: in the terms of the operation, whatever the style of the function.
        tags: what is special about the case: "stride 2". Where all cases with a tag are wrong and all others right,
            the tag says where to look.
        tolerance: the largest deviation, relative to the largest number of the result.
    """

    label: str
    inputs: Inputs
    tags: tuple[str, ...] = ()
    tolerance: float = 1e-9


def _always(case: Case) -> bool:
    return True


def _nothing(inputs: Inputs) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Form:
    """One accepted signature of a part.

    Attributes:
        style: "pytorch" or "cs231n".
        text: the signature and its results, for the reader.
        required: the parameters that the function must take, in this order unless its names say otherwise.
        optional: parameters that it may take, with the values that hold where it does not.
        results: the names of what it returns.
        arguments: from the inputs to the values of the parameters that are not inputs themselves.
        read: from (what was returned, the arguments after the call) to results, where that is not the plain way; it may
            add what the backward pass gets as "cache".
        extra: inputs that this form adds to those of the case.
        transposed: arguments and results whose axes this style keeps in the opposite order.
        may_change: parameters that may be written into.
        suits: whether this form can receive a case.
        names: the usual names of parameters in this style, by which it is recognised.
    """

    style: str
    text: str
    required: tuple[str, ...]
    results: tuple[str, ...]
    optional: Mapping[str, Any] = field(default_factory=dict)
    arguments: Callable[[Inputs], dict[str, Any]] = _nothing
    read: Callable[[Any, dict[str, Any]], Results] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    transposed: frozenset[str] = frozenset()
    may_change: frozenset[str] = frozenset()
    suits: Callable[[Case], bool] = _always
    names: tuple[str, ...] = ()

    def adapted(self, case: Case) -> Case:
        """The case with the inputs that this form adds."""
        return replace(case, inputs={**case.inputs, **self.extra}) if self.extra else case

    @property
    def takes_cache(self) -> bool:
        """Whether it gets what `forward` returned beside its result."""
        return "cache" in self.required


@dataclass(frozen=True)
class PartOfOperation:
    """One function of an operation.

    Attributes:
        name: the keyword of `check`: "forward".
        forms: the accepted signatures.
        cases: from (random generator, settings) to the cases.
        right: the results, by the twin in `fastnn.reference`, in float64. "dx otherwise" is a list of results that are
            right as well, "dx deviation" how far a right result may be away.
        compute: the same with the given mistakes made; with none of them it equals `right`.
        mistakes: phrase -> what to look at.
        terms: results that are sums: result -> {name of the term: its values}.
        fields: arrays that may be a forgotten factor, by name; they broadcast against the results.
        quantities: numbers that may be a wrong factor, by name: {"the batch size": 5}.
        hints: tag -> what to look at if exactly the cases with this tag are wrong.
        random: whether two calls must differ, as far as the function draws its own random numbers.
        expensive: whether `compute` takes long, so that fewer pairs of mistakes are tried.
        messages: results that are no numbers of the operation -> what is wrong if they are not as expected.
        learn: for random results: from (inputs, results, results of the forward pass whose cache was used) to inputs
            that say what was drawn.
    """

    name: str
    forms: tuple[Form, ...]
    cases: Callable[[np.random.Generator, Settings], list[Case]]
    right: Callable[[Inputs], Results]
    compute: Callable[[Inputs, Wrong], Results]
    mistakes: Mapping[str, str]
    terms: Callable[[Inputs], dict[str, dict[str, NDArray]]] = _nothing
    fields: Callable[[Inputs], dict[str, NDArray]] = _nothing
    quantities: Callable[[Inputs], dict[str, float]] = _nothing
    hints: Mapping[str, str] = field(default_factory=dict)
    random: bool = False
    expensive: bool = False
    messages: Mapping[str, str] = field(default_factory=dict)
    learn: Callable[[Inputs, Results, Results], Inputs] | None = None


@dataclass(frozen=True)
class Operation:
    """An operation that `check` knows.

    Attributes:
        name: "batch_norm".
        title: "Batch normalisation".
        formula: what is right, in a few lines.
        parts: its functions.
        settings: names of settings of `check` for this operation, with defaults.
        allowed: the values that each setting may have.
    """

    name: str
    title: str
    formula: str
    parts: tuple[PartOfOperation, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def optional_parameters(self) -> list[str]:
        """What functions may take and need not."""
        return sorted({name for part in self.parts for form in part.forms for name in form.optional})

    def part(self, name: str) -> PartOfOperation:
        """The part of this name."""
        return next(part for part in self.parts if part.name == name)
