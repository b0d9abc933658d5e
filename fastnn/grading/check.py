"""Check a student's functions: call them in many cases, compare with the twin, and name the mistakes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.grading import describing
from fastnn.grading.calling import Fatal, Outcome, call, covers, same
from fastnn.grading.matching import Observation, Predictions, explain
from fastnn.grading.operation import Case, Form, Misfit, Operation, PartOfOperation, Results
from fastnn.grading.operations import OPERATIONS
from fastnn.grading.report import Part, Report
from fastnn.grading.signatures import Binding, accepted, described, recognise
from fastnn.grading.tolerances import allowed, equal, largest

__all__ = ["check", "operations", "signatures"]

_STYLES = ("pytorch", "cs231n", None)
_NO_CACHE = "backward needs the cache of forward"


def operations() -> list[str]:
    """The names of the operations that `check` knows.

    Example:
        >>> from fastnn import grading
        >>> "batch_norm" in grading.operations()
        True
    """
    return list(OPERATIONS)


def signatures(operation: str) -> str:
    """What functions `check` accepts for an operation: formula, settings, and every signature of every part.

    Args:
        operation: one of `operations()`.
    Returns:
        Several lines of text, to be printed.
    Raises:
        ValueError: there is no such operation.
    Example:
        >>> from fastnn import grading
        >>> print(grading.signatures("relu"))
        ReLU: grading.check("relu", forward=..., backward=...)
        y = max(x, 0)
        dx = dy where x > 0, and 0 elsewhere; at x = 0 either is right
        forward
          pytorch: forward(x) -> y
          cs231n: forward(x) -> (out, cache), or -> out
        backward
          pytorch: backward(dy, y) -> dx
          pytorch: backward(dy, x) -> dx
          pytorch: backward(dy, cache) -> dx
          cs231n: backward(dout, cache) -> dx
    """
    spec = _operation("signatures", operation)
    functions = ", ".join(f"{part.name}=..." for part in spec.parts)
    lines = [f'{spec.title}: grading.check("{spec.name}", {functions})', spec.formula]
    for name, value in spec.settings.items():
        choices = " or ".join(map(repr, spec.allowed[name]))
        lines.append(f"setting of check: {name}={choices}; the default is {value!r}")
    for part in spec.parts:
        lines += [part.name, accepted(part)]
    return "\n".join(lines)


def check(
    operation: str,
    *,
    points: float | Mapping[str, float] = 10,
    seed: int = 0,
    style: str | None = None,
    require: Sequence[str] = (),
    **functions: Any,
) -> Report:
    """Check functions that a student wrote, and name the mistakes.

    Each function is called with many inputs: several shapes, with one sample or one channel and with sizes that all
    differ, float64 and float32, and edge cases such as scores near 1000 or equal numbers in a pooling window. The
    results are compared with `fastnn.reference`. A result that is wrong is then compared with those of a catalogue of
    mistakes, such as an unbiased variance, a gradient that is not divided by the batch size, or a filter that is
    flipped; and with general ones, such as a transposed result, a wrong factor, or an argument that is ignored. If one
    of them, or two at once, gives the student's numbers in every case, it is named.

    The functions are plain functions of arrays. Two styles are accepted and told apart by the names of parameters:
    "pytorch", in which backward is given the arrays that it needs, and "cs231n", in which forward returns
    `(out, cache)` and backward is given the cache. `signatures(operation)` prints every accepted signature. Parameters
    may have other names; then their order counts.

    An error in forward does not make backward wrong, since backward is given the right arrays, except where it gets
    the cache of the student's own forward. Nothing that a function does ends the check: exceptions, results of a wrong
    shape or type, and arguments that are overwritten are mistakes that are named.

    Args:
        operation: one of `operations()`.
        points: for all parts together, in equal shares; or for each part by name. A part earns all of its points or
            none.
        seed: of the random inputs; the same seed gives the same report.
        style: "pytorch" or "cs231n"; None: recognised.
        require: optional parameters, as `signatures` names them, that functions must take, as `("stride",)`. The cases
            of one that is neither required nor taken are left out.
        functions: the parts, by name: `forward=f, backward=g`; a part that is not given is not checked, unless
            `points` names it. Settings of the operation, which `signatures` lists, are given in the same way.
    Returns:
        A report; printed, it is the text for the student.
    Raises:
        ValueError: no such operation, part, setting, style or optional parameter; or no function at all.
    Example:
        >>> from fastnn import grading
        >>> def forward(x, weight, bias, eps=1e-5):
        ...     return weight * (x - x.mean(0)) / (x.std(0) + eps) + bias
        >>> report = grading.check("batch_norm", forward=forward)
        >>> report.passed, report.points
        (False, 0)
        >>> report.mistakes
        ['eps outside the root: eps is added to the standard deviation; it belongs to the variance: sqrt(var + eps)']
    """
    spec = _operation("check", operation)
    seed = _check.integer("check", "seed", seed, 0)
    _check.one_of("check", "style", style, _STYLES)
    for name in require:
        _check.one_of("check", "require", name, spec.optional_parameters)
    known = [part.name for part in spec.parts]
    unknown = [name for name in functions if name not in known and name not in spec.settings]
    if unknown:
        raise ValueError(
            f"check: {operation} has no part {', '.join(map(repr, unknown))}; its parts are {', '.join(known)}"
            + (f", its settings {', '.join(spec.settings)}" if spec.settings else "")
        )
    settings = {**spec.settings, **{name: value for name, value in functions.items() if name in spec.settings}}
    for name, allowed_values in spec.allowed.items():
        if isinstance(allowed_values[0], bool):
            settings[name] = _check.boolean("check", name, settings[name])
        else:
            _check.one_of("check", name, settings[name], allowed_values)
    given = {name: functions[name] for name in known if name in functions}
    maxima = _points(points, known, list(given))
    if not maxima:
        raise ValueError(f"check: no function is given; {operation} has the parts {', '.join(known)}")
    usable = {name: function for name, function in given.items() if callable(function)}
    bindings = recognise(spec, usable, style)
    checker = _Checker(spec, usable, bindings, settings, seed, require)
    parts = []
    for name, most in maxima.items():
        if given.get(name) is None:
            parts.append(Part(name, False, 0, most, [f"{name} is missing: the function is not there"], ""))
        elif name not in usable:
            shown = _check.shown(given[name])
            parts.append(Part(name, False, 0, most, [f"{name} is no function but {shown}"], ""))
        else:
            parts.append(checker.part(spec.part(name), most))
    return Report(operation, parts)


def _operation(caller: str, name: str) -> Operation:
    _check.one_of(caller, "operation", name, list(OPERATIONS))
    return OPERATIONS[name]


def _points(points: Any, known: list[str], given: list[str]) -> dict[str, float]:
    """Part -> its most points, in the order of the operation."""
    if isinstance(points, Mapping):
        unknown = [name for name in points if name not in known]
        if unknown:
            raise ValueError(
                f"check: points are given for {', '.join(map(repr, unknown))}; the parts are {', '.join(known)}"
            )
        wanted = {name: _check.number("check", f"points[{name!r}]", value, 0) for name, value in points.items()}
        return {name: _neat(wanted.get(name, 0.0)) for name in known if name in wanted or name in given}
    total = _check.number("check", "points", points, 0, finite=True)
    return {name: _neat(total / len(given)) for name in known if name in given}


def _neat(value: float) -> float:
    return int(value) if value == int(value) else value


class _Checker:
    """The check of all parts of one operation."""

    def __init__(
        self,
        operation: Operation,
        functions: Mapping[str, Callable[..., Any]],
        bindings: Mapping[str, list[Binding] | Misfit],
        settings: Mapping[str, Any],
        seed: int,
        require: Sequence[str],
    ) -> None:
        self.operation = operation
        self.require = require
        self.functions = functions
        self.bindings = bindings
        self.settings = settings
        self.seed = seed
        self.fatal = ""
        self.failed: set[str] = set()

    def part(self, part: PartOfOperation, most: float) -> Part:
        """The check of one part."""
        if self.fatal:
            return Part(part.name, False, 0, most, [f"not checked: {self.fatal}"], "")
        bindings = self.bindings[part.name]
        if isinstance(bindings, Misfit):
            mistake, _, details = str(bindings).partition("\n")
            return self._failed(part, most, [mistake], details)
        try:
            run = self._run(part, bindings)
        except Fatal as error:
            self.fatal = str(error) or "the program ended or ran out of time"
            return self._failed(part, most, [self.fatal], f"in {described(self.functions[part.name])}")
        mistakes = [
            f"it takes no parameter {name}, which is asked for: {run.binding.form.text}"
            for name in self.require
            if name in run.binding.form.optional and name not in run.binding.roles
        ] + run.mistakes(self)
        if not mistakes and run.right == 1:
            return Part(part.name, True, most, most, [], run.remarks())
        mistakes = mistakes or ["the results are not the right ones"]
        if run.binding.form.takes_cache and "forward" in self.failed and not mistakes[0].startswith(_NO_CACHE):
            mistakes.append("backward uses the cache of your forward, which is wrong: correct forward first")
        return self._failed(part, most, mistakes, run.details())

    def _failed(self, part: PartOfOperation, most: float, mistakes: list[str], details: str) -> Part:
        self.failed.add(part.name)
        return Part(part.name, False, 0, most, mistakes, details)

    def cases(self, part: PartOfOperation, form: Form) -> list[Case]:
        """The cases of a part, from random numbers of its own."""
        index = [own.name for own in self.operation.parts].index(part.name)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        return [form.adapted(case) for case in part.cases(rng, self.settings)]

    def _run(self, part: PartOfOperation, bindings: list[Binding]) -> "_Run":
        """The calls, in the way that fits best: if the names do not say it, the one with the most right cases."""
        likely = [b for b in bindings if b.form.style == bindings[0].form.style and b.score == bindings[0].score]
        others = (
            [b for b in bindings if b not in likely] if bindings[0].score < 2 * len(bindings[0].form.required) else []
        )
        best: _Run | None = None
        for binding in [*likely, *others]:
            run = _Run(self, part, binding)
            if best is None or run.right > best.right:
                best = run
            if run.right == 1 or run.has_cache:  # a function that works with the student's own cache is meant so
                break
        assert best is not None
        bindings.remove(best.binding)
        bindings.insert(0, best.binding)  # for the backward pass, which needs its cache
        return best

    def forward_covers(self, binding: Binding, case: Case) -> bool:
        """Whether the forward pass, whose cache is needed, takes everything that the case varies."""
        bindings = self.bindings.get("forward")
        if not binding.form.takes_cache or not isinstance(bindings, list):
            return True
        return covers(bindings[0], bindings[0].form.adapted(case))

    def forward(self, case: Case) -> Outcome:
        """A call of the student's forward that returns a cache.

        Raises:
            Misfit: nothing.
        """
        bindings = self.bindings.get("forward")
        if bindings is None:
            raise Misfit("backward(dy, cache) needs the cache of forward; check both: forward=..., backward=...")
        if isinstance(bindings, Misfit):
            raise Misfit(f"{_NO_CACHE}, whose signature is not an accepted one")
        outcome = call(self.functions["forward"], bindings[0], bindings[0].form.adapted(case))
        if outcome.raised:
            raise Misfit(f"{_NO_CACHE}, but in forward {outcome.problem}")
        if not outcome.has_cache:
            raise Misfit(f"{_NO_CACHE}, which returned one result only; needed is (out, cache)")
        return outcome


class _Run:
    """All calls of one function in one way."""

    def __init__(self, checker: _Checker, part: PartOfOperation, binding: Binding) -> None:
        self.part = part
        self.binding = binding
        self.function = checker.functions[part.name]
        self.skipped: list[Case] = []
        self.outcomes: list[tuple[Case, Results, Outcome]] = []
        self.repeated = ""
        self.has_cache = binding.form.takes_cache
        for case in checker.cases(part, binding.form):
            if not covers(binding, case) or not checker.forward_covers(binding, case):
                self.skipped.append(case)
                continue
            outcome = self._outcome(checker, case)
            if part.learn is not None:
                case = replace(case, inputs=part.learn(case.inputs, outcome.results, outcome.forward))
            outcome.cache = None  # it may be large
            self.outcomes.append((case, part.right(case.inputs), outcome))
            if len(self.outcomes) == 1:
                self._call_again(checker)
        self.results = {name: self._observations(name) for name in binding.form.results}
        self.right = self._share_right()

    def _outcome(self, checker: _Checker, case: Case) -> Outcome:
        if not self.binding.form.takes_cache:
            return call(self.function, self.binding, case)
        try:
            forward = checker.forward(case)
        except Misfit as misfit:
            self.has_cache = False
            return Outcome(problem=str(misfit), raised=True)
        outcome = call(self.function, self.binding, case, forward.cache)
        outcome.forward = forward.results
        return outcome

    def _call_again(self, checker: _Checker) -> None:
        """The same call must give the same result; if it is a random one, another."""
        if self.outcomes[0][2].raised:
            return
        case, _, first = self.outcomes[0]
        again = self._outcome(checker, case)
        if self.part.random:
            drawn = [o.results.get("y") for o in (first, again)]
            repeats = drawn[0] is not None and drawn[1] is not None and same(drawn[0], drawn[1])
            if repeats and len(np.unique(np.asarray(drawn[0]) == 0)) > 1 and not self.binding.roles & {"seed", "rng"}:
                self.repeated = "the same mask in every call: the random numbers must go on, not start anew with a seed"
            return
        if first.forward and not same(first.forward.get("y"), again.forward.get("y")):
            return  # two random masks
        for name, array in first.results.items():
            other = again.results.get(name)
            is_float = array.dtype.kind == "f"
            if other is None or other.shape != array.shape or not np.array_equal(array, other, equal_nan=is_float):
                self.repeated = (
                    f"{name} differs when the function is called again with the same arguments: something is kept from "
                    "call to call (added to the old value, a global, a default argument, or random numbers)"
                )
                return

    def _observations(self, name: str) -> list[Observation]:
        found = []
        for case, expected, outcome in self.outcomes:
            value = np.asarray(expected[name], np.float64)
            terms = self.part.terms(case.inputs).get(name, {})
            deviation = allowed(case.tolerance, value, *terms.values())
            deviation = max(deviation, float(expected.get(f"{name} deviation", 0)))
            alternatives = tuple(expected.get(f"{name} otherwise", ()))
            received = outcome.results.get(name)
            received = None if received is None else received.astype(np.float64)
            found.append(Observation(case, value, received, outcome.raised, deviation, alternatives))
        return found

    def _share_right(self) -> float:
        total = sum(map(len, self.results.values()))
        return sum(o.right for found in self.results.values() for o in found) / max(total, 1)

    # ---- words -------------------------------------------------------------------------------------------------------
    def mistakes(self, checker: _Checker) -> list[str]:
        """All mistakes, each in a sentence."""
        exchanged = self._exchanged()
        predictions: Predictions = {}  # what the mistakes compute is the same for all results
        texts: dict[str, list[str]] = {}  # sentence -> results
        for name, observations in self.results.items():
            if name in exchanged:
                texts.setdefault(f"the results are in another order: it is the right {exchanged[name]}", []).append(
                    name
                )
                continue
            for text in self._of_result(name, observations, predictions):
                texts.setdefault(text, []).append(name)
        several = len(self.binding.form.results) > 1
        found = [f"{', '.join(names)}: {text}" if several and names[0] else text for text, names in texts.items()]
        return list(dict.fromkeys([*found, *self._problems()]))

    def _exchanged(self) -> dict[str, str]:
        """Results that are another one: result -> which."""
        found = {}
        for name, observations in self.results.items():
            for other, right in self.results.items():
                pairs = list(zip(observations, right, strict=True))
                if {name, other} & set(self.part.messages) or not any(largest(r.expected) for r in right):
                    continue
                if name == other or any(o.received is None for o in observations) or all(o.right for o in observations):
                    continue
                if all(equal(o.received, r.expected, r.deviation) for o, r in pairs if o.received is not None):
                    found[name] = other
        return found

    def _of_result(self, name: str, observations: list[Observation], predictions: Predictions) -> list[str]:
        if name in self.part.messages:
            return (
                [self.part.messages[name]] if any(o.received is not None and not o.right for o in observations) else []
            )
        texts = explain(self.part, name, observations, predictions)
        for o in observations:
            if o.received is not None and o.received.shape != o.expected.shape:
                return [*texts, f"wrong shape: {o.received.shape} instead of {o.expected.shape} ({o.case.label})"]
        for (case, _, outcome), o in zip(self.outcomes, observations, strict=True):
            received = outcome.results.get(name)
            if received is not None and received.dtype.kind in "iub" and not o.right:
                return [*texts, f"wrong dtype: {received.dtype}, which holds no fractions; use floats ({case.label})"]
        return texts

    def _problems(self) -> list[str]:
        """What is wrong beside numbers. Exceptions of one kind are told once."""
        found: dict[str, list[Case]] = {}
        words: dict[str, str] = {}
        changed: list[str] = []
        for case, _, outcome in self.outcomes:
            if outcome.problem:
                kind = re.sub(r"\d+", "", outcome.problem.partition(":")[0])
                words.setdefault(kind, outcome.problem)
                found.setdefault(kind, []).append(case)
            changed += outcome.changed
        texts = []
        for kind, cases in found.items():
            if len(cases) == len(self.outcomes):
                texts.append(words[kind])
                continue
            others = [case for case, _, _ in self.outcomes if case not in cases]
            hint = self._tag_of(cases, others)
            texts.append(f"{words[kind]} (in the case {cases[0].label}{f'; {hint}' if hint else ''})")
        for name in dict.fromkeys(changed):
            texts.append(
                f"the argument {name} is overwritten in place: work on a copy, since the caller still needs it"
            )
        if self.repeated and not (self.part.learn and self.right < 1):
            texts.append(self.repeated)
        if not self.outcomes:
            texts.append("no case fits this signature")
        return texts

    def _tag_of(self, cases: list[Case], others: list[Case]) -> str:
        """The hint of the tag that all these cases have, and no other has."""
        for tag in cases[0].tags:
            if all(tag in case.tags for case in cases) and not any(tag in case.tags for case in others):
                return self.part.hints.get(tag, f"only with {tag}")
        return ""

    def remarks(self) -> str:
        """What was not checked."""
        lacking = sorted(set(self.binding.form.optional) - self.binding.roles) if self.skipped else []
        if not lacking:
            return ""
        return f"Not checked, since {described(self.function)} takes no {', '.join(lacking)}: {len(self.skipped)} cases"

    def details(self) -> str:
        """The first wrong call."""
        lines = [f"called: {described(self.function)} as {self.binding.form.style}: {self.binding.form.text}"]
        for index, (case, _, outcome) in enumerate(self.outcomes):
            for name, observations in self.results.items():
                o = observations[index]
                if o.right:
                    continue
                lines.append(f"case: {case.label}{outcome.arguments and '; arguments: '}{outcome.arguments}")
                if o.received is None:
                    lines.append(f"expected {name} of shape {o.expected.shape}; received none: {outcome.problem}")
                elif o.received.shape != o.expected.shape:
                    lines.append(f"expected {name} of shape {o.expected.shape}; received shape {o.received.shape}")
                else:
                    place = describing.first_wrong_place(o.expected, o.received, o.deviation)
                    where = f"{name}{list(place)}" if place else name
                    lines.append(
                        f"first wrong place: {where} = {o.received[place]:.8g}, expected {o.expected[place]:.8g}; "
                        f"shape {o.expected.shape}"
                    )
                right = sum(all(found[k].right for found in self.results.values()) for k in range(len(self.outcomes)))
                lines.append(f"{right} of {len(self.outcomes)} cases are right")
                return "\n".join([*lines, *filter(None, [self.remarks()])])
        return "\n".join([*lines, *filter(None, [self.remarks()])])
