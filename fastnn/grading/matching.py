"""Which mistake explains wrong numbers: the catalogue of the operation, general mistakes, and pairs of both.

A mistake is named only if it gives the student's numbers in every case, the right ones included. If no mistake or pair
does that, mistakes that explain some cases are named with those cases.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.grading import describing
from fastnn.grading.calling import quiet
from fastnn.grading.generic import changed_inputs, changed_results, named_factor
from fastnn.grading.operation import Case, Inputs, PartOfOperation, Wrong
from fastnn.grading.tolerances import equal, largest

__all__ = ["Observation", "explain"]

# (words, from a case to the wrong numbers); the numbers are None where the mistake raises an exception.
Hypothesis = tuple[str, Callable[["Observation"], "NDArray | None"]]

_BATCHED = ("dy", "x", "scores")


@dataclass(eq=False)
class Observation:
    """One result in one case.

    Attributes:
        case: what was called.
        expected: the right numbers, in float64.
        received: the student's, or None if there are none.
        raised: whether there was an exception.
        deviation: the largest difference that rounding explains.
        alternatives: other numbers that are right as well.
    """

    case: Case
    expected: NDArray
    received: NDArray | None
    raised: bool
    deviation: float
    alternatives: tuple[NDArray, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the result is right."""
        return self.received is not None and self._accepts(self.received)

    def _accepts(self, numbers: NDArray) -> bool:
        return any(equal(numbers, right, self.deviation) for right in (self.expected, *self.alternatives))

    def explained(self, prediction: NDArray | None) -> bool:
        """Whether a mistake with these numbers is what the student made, or may be."""
        if self.received is None:
            return self.raised  # whatever it is, it came after or before something else that is wrong
        if prediction is None:
            return False
        if self.alternatives and self.right:
            return self._accepts(prediction)
        return equal(self.received, prediction, self._closeness())

    def _closeness(self) -> float:
        """Much less than what the mistake changes, and not less than rounding."""
        if self.received is None or self.received.shape != self.expected.shape:
            return max(self.deviation, 1e-9 * largest(self.received if self.received is not None else np.zeros(1)))
        with quiet():
            changed = largest(self.received - self.expected)
        return max(self.deviation, min(1e-3 * changed, 1e-6 * max(largest(self.expected), largest(self.received))))


def explain(part: PartOfOperation, result: str, observations: list[Observation]) -> list[str]:
    """What is wrong with the numbers of a result, in sentences; none if only the shape can be named."""
    search = _Search(part, result, observations)
    if not search.wrong:
        return []
    with quiet():
        return search.run()


class _Search:
    def __init__(self, part: PartOfOperation, result: str, observations: list[Observation]) -> None:
        self.part = part
        self.result = result
        self.all = observations
        self.wrong = [o for o in observations if o.received is not None and not o.right]
        # The case that tells most: of the right shape, finite, float64, with several entries.
        self.pivot = min(self.wrong, key=_rank, default=None)
        self._predictions: dict[tuple[int, Wrong], dict[str, Any] | None] = {}

    # ---- predictions -------------------------------------------------------------------------------------------------
    def _computed(self, observation: Observation, wrong: Wrong) -> NDArray | None:
        key = id(observation), wrong
        if key not in self._predictions:
            try:
                self._predictions[key] = self.part.compute(observation.case.inputs, wrong)
            except Exception:  # shapes that do not fit are a consequence of some mistakes
                self._predictions[key] = None
        results = self._predictions[key]
        return None if results is None or self.result not in results else np.asarray(results[self.result])

    def _batched(self, observation: Observation) -> list[str]:
        inputs = observation.case.inputs
        return [name for name in _BATCHED if getattr(inputs.get(name), "ndim", 0) >= 2]

    # ---- hypotheses --------------------------------------------------------------------------------------------------
    def _making(self, *phrases: str) -> Callable[[Observation], NDArray | None]:
        return lambda o: self._computed(o, frozenset(phrases))

    def _flags(self) -> Iterator[Hypothesis]:
        for phrase in self.part.mistakes:
            yield self._words(phrase), self._making(phrase)

    def _words(self, phrase: str) -> str:
        hint = self.part.mistakes[phrase]
        return f"{phrase}: {hint}" if hint else phrase

    def _changed_result(self, o: Observation, text: str, wrong: Wrong) -> list[NDArray]:
        """The result of a case with a general change; some have several forms."""
        base = self._computed(o, wrong)
        return [] if base is None else [value for words, value in changed_results(base, o.case.inputs) if words == text]

    def _of_results(self, wrong: Wrong = frozenset()) -> str | None:
        """A general change of the result that explains all cases."""
        assert self.pivot is not None
        base = self._computed(self.pivot, wrong)
        if base is None:
            return None
        for text, value in changed_results(base, self.pivot.case.inputs):
            if self.pivot.explained(value) and all(
                any(o.explained(other) for other in self._changed_result(o, text, wrong)) or o.received is None
                for o in self.all
            ):
                return text
        return None

    def _changed_argument(self, o: Observation, text: str, wrong: Wrong) -> NDArray | None:
        for words, change in changed_inputs(o.case.inputs, self._batched(o)):
            if words == text:
                return self._from(o, change, wrong)
        return self._computed(o, wrong)

    def _from(self, o: Observation, change: Callable[[Inputs], Inputs], wrong: Wrong) -> NDArray | None:
        try:
            return np.asarray(self.part.compute(change(o.case.inputs), wrong)[self.result])
        except Exception:  # shapes that do not fit, numbers that are no numbers
            return None

    def _of_arguments(self, wrong: Wrong = frozenset()) -> str | None:
        """A wrong use of an argument that explains all cases."""
        assert self.pivot is not None
        for text, change in changed_inputs(self.pivot.case.inputs, self._batched(self.pivot)):
            if self.pivot.explained(self._from(self.pivot, change, wrong)) and all(
                o.explained(self._changed_argument(o, text, wrong)) for o in self.all
            ):
                return text
        return None

    def _holds(self, hypothesis: Hypothesis) -> bool:
        assert self.pivot is not None
        predict = hypothesis[1]
        return self.pivot.explained(predict(self.pivot)) and all(o.explained(predict(o)) for o in self.all)

    # ---- the search --------------------------------------------------------------------------------------------------
    def run(self) -> list[str]:
        """The mistakes, in sentences."""
        fitting = [text for text, predict in self._flags() if self._holds((text, predict))]
        if fitting:
            return [" -- or ".join(fitting[:2])]
        for attempt in (self._factor, self._of_results, self._terms, self._fields, self._of_arguments, self._pairs):
            found = attempt()
            if found:
                return [found]
        cover = self._cover()
        if cover:
            return cover
        description = describing.describe(self.part, self.all)
        return [description] if description else []

    def _factor(self, wrong: Wrong = frozenset()) -> str | None:
        """A named factor of the whole result."""
        factors, quantities = [], []
        for o in [self.pivot, *self.all]:  # the pivot first: mostly, that ends it
            assert o is not None
            base = self._computed(o, wrong)
            if o.received is None:
                continue
            if base is None or base.shape != o.received.shape:
                return None
            square = float(np.vdot(base, base))
            if not np.isfinite(square) or not np.isfinite(o.received).all():
                if equal(base, o.received, o.deviation):
                    continue
                return None
            if square == 0 or largest(base) <= o.deviation:
                continue
            factor = float(np.vdot(base, o.received)) / square
            if not equal(o.received, factor * base, max(o.deviation * max(1, abs(factor)), 1e-7 * largest(o.received))):
                return None
            factors.append(factor)
            quantities.append(self.part.quantities(o.case.inputs))
        if not factors or (max(factors) == 0 == min(factors)):
            return None
        return named_factor(factors, quantities, "the result")

    def _terms(self) -> str | None:
        """Which of the terms of a sum have a wrong factor."""
        found: dict[str, list[float]] = {}
        quantities = []
        for o in self.all:
            if o.received is None:
                continue
            terms = self.part.terms(o.case.inputs).get(self.result)
            if not terms or o.received.shape != o.expected.shape or not np.isfinite(o.received).all():
                return None
            design = np.stack([np.broadcast_to(t, o.expected.shape).reshape(-1) for t in terms.values()], axis=1)
            norms = np.linalg.norm(design, axis=0)
            if not np.isfinite(norms).all() or (norms == 0).any() or len(design) <= len(terms):
                continue
            if np.linalg.matrix_rank(design / norms, tol=1e-6) < len(terms):
                continue
            factors = np.linalg.lstsq(design / norms, o.received.reshape(-1), rcond=None)[0] / norms
            if not equal(design @ factors, o.received.reshape(-1), max(o.deviation, 1e-7 * largest(o.received))):
                return None
            if o.case.tolerance > 1e-6:  # float32 says whether it fits, not how well
                continue
            quantities.append(self.part.quantities(o.case.inputs))
            for name, factor in zip(terms, factors, strict=True):
                found.setdefault(name, []).append(float(factor))
        words = []
        for name, values in found.items():
            if np.allclose(values, 1, rtol=2e-5):
                continue
            text = named_factor(values, quantities, f"the term {name}")
            if text is None and np.ptp(values) <= 1e-5 * max(map(abs, values)):
                text = f"the term {name} has the factor {values[0]:.6g}"
            if text is None:
                return None
            words.append(text)
        return "; ".join(words) or None

    def _fields(self) -> str | None:
        assert self.pivot is not None
        for name in self.part.fields(self.pivot.case.inputs):
            for power, words in _POWERS:

                def predict(o: Observation, name: str = name, power: float = power) -> NDArray | None:
                    try:
                        return o.expected * self.part.fields(o.case.inputs)[name] ** power
                    except ValueError:  # does not broadcast
                        return None

                if self._holds((words, predict)):
                    return words.format(q=name)
        return None

    def _pairs(self) -> str | None:
        """Two mistakes at once, and a factor."""
        assert self.pivot is not None
        assert self.pivot.received is not None
        numbers = self.pivot.received
        if numbers.shape != self.pivot.expected.shape or not np.isfinite(numbers).all():
            return None
        if numbers.size > 1 and np.ptp(numbers) == 0:  # a constant is no mixture of mistakes
            return None
        phrases = [phrase for phrase in self.part.mistakes if self._matters(phrase)]
        for phrase in phrases:
            factor = self._factor(frozenset({phrase}))
            if factor:
                return f"{self._words(phrase)}; and {factor}"
        for a, b in itertools.combinations(phrases, 2):
            if self._holds(("", self._making(a, b))):
                return f"{self._words(a)}; and {self._words(b)}"
        if self.part.expensive or len(phrases) > _MOST_PHRASES:
            return None
        for phrase in phrases:
            for attempt in (self._of_results, self._of_arguments):
                other = attempt(frozenset({phrase}))
                if other:
                    return f"{self._words(phrase)}; and {other}"
        for a, b in itertools.combinations(phrases, 2):
            factor = self._factor(frozenset({a, b}))
            if factor:
                return f"{self._words(a)}; and {self._words(b)}; and {factor}"
        return None

    def _matters(self, phrase: str) -> bool:
        """Whether a mistake changes this result at all."""
        assert self.pivot is not None
        prediction = self._computed(self.pivot, frozenset({phrase}))
        return prediction is not None and not equal(prediction, self.pivot.expected, self.pivot.deviation)

    def _cover(self) -> list[str]:
        """Mistakes that explain some of the wrong cases each."""
        assert self.pivot is not None
        explained: dict[str, list[bool]] = {}
        for text, predict in self._flags():
            explained[text] = [o.explained(predict(o)) for o in self.all]
        for text, _ in changed_results(self.pivot.expected, self.pivot.case.inputs):
            explained.setdefault(
                text,
                [any(o.explained(value) for value in self._changed_result(o, text, frozenset())) for o in self.all],
            )
        for text, _ in changed_inputs(self.pivot.case.inputs, self._batched(self.pivot)):
            explained.setdefault(text, [o.explained(self._changed_argument(o, text, frozenset())) for o in self.all])
        left = [index for index, o in enumerate(self.all) if o in self.wrong and o.expected.size > 1]
        left = [index for index in left if largest(self._numbers(index)) > 0]
        said: list[str] = []
        while left and len(said) < 3:
            scores = {
                text: sum(found[index] for index in left)
                - 0.5 * sum(o.right and not known for o, known in zip(self.all, found, strict=True))
                for text, found in explained.items()
                if any(found[index] for index in left)
            }
            best = max(scores, key=lambda text: scores[text], default="")
            if not best or scores[best] <= 0:
                break
            cases = [index for index in left if explained[best][index]]
            labels = "; ".join(self.all[index].case.label for index in cases[:3])
            more = "" if len(cases) <= 3 else f" and {len(cases) - 3} more"
            said.append(f"{best} (this explains the case {labels}{more})")
            left = [index for index in left if index not in cases]
        if said and left:
            said.append(describing.describe(self.part, self.all))
        return said

    def _numbers(self, index: int) -> NDArray:
        received = self.all[index].received
        assert received is not None
        return received


_MOST_PHRASES = 50
_POWERS = (
    (-1.0, "not multiplied by {q}, or divided by {q} once too often"),
    (1.0, "not divided by {q}, or multiplied by {q} once too often"),
    (-2.0, "divided by {q} instead of multiplied, or divided by its square once too often"),
    (2.0, "multiplied by {q} instead of divided, or multiplied by its square"),
)


def _rank(o: Observation) -> tuple[bool, bool, bool, int]:
    assert o.received is not None
    return (
        o.received.shape != o.expected.shape,
        not np.isfinite(o.received).all(),
        o.case.tolerance > 1e-6 or o.expected.size < 4,
        -min(o.expected.size, 40),
    )
