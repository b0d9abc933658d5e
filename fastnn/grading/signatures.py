"""Which accepted signature a student's function has, and which of its parameters is what."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastnn.grading.operation import Form, Misfit, Operation, PartOfOperation

__all__ = ["Binding", "accepted", "bind", "described", "recognise"]

# Names that students give to each parameter, in lower case and without underscores.
_WORDS = {
    "x": "x input inputs data inp xin image images img features a z scores logits batch tensor feature xs u v xarray",
    "weight": "weight weights w kernel kernels filter filters gamma scale theta k param params parameter parameters "
    "g f",
    "bias": "bias b beta shift offset biases",
    "dy": "dy dout gradoutput gradout grad upstream dldy dz da delta outgrad dupstream gradoutputs g gy dlout dldout "
    "dh gradient grady do dl upstreamgrad dj dprobabilities dp ds",
    "y": "y out output a s probabilities probs p yout activation result sigma",
    "eps": "eps epsilon e",
    "labels": "labels y target targets t label ytrue gt classes yb truth",
    "scores": "scores x logits z input inputs s score output pred predictions f",
    "cache": "cache ctx saved mem memory context caches saveddata state mask",
    "running_mean": "runningmean mean movingmean mu rm meanrunning",
    "running_var": "runningvar var variance runningvariance movingvar movingvariance rv varrunning",
    "momentum": "momentum mu m mom rho alpha beta gamma",
    "stride": "stride strides s step",
    "padding": "padding pad p pads",
    "kernel_size": "kernelsize kernel size poolsize pool k window ksize windowsize filtersize",
    "p": "p rate prob dropprob pdrop keepprob dropout dropoutrate probability droprate ratio",
    "mask": "mask m keep kept cache",
    "training": "training train istraining mode trainmode istrain",
    "rng": "rng generator randomstate random",
    "seed": "seed",
    "gradient": "gradient grad dw g dweight grads dparam dp dtheta d gradients dx",
    "parameter": "parameter w param weight weights theta p x params",
    "velocity": "velocity v buffer momentumbuffer vel buf u state",
    "lr": "lr learningrate rate alpha eta stepsize",
    "config": "config state conf cfg",
    "m": "m expavg firstmoment m1 moment1 s mt",
    "v": "v expavgsq secondmoment m2 moment2 r vt",
    "t": "t step i iteration k timestep n it",
    "beta1": "beta1 b1 rho1",
    "beta2": "beta2 b2 rho2",
    "betas": "betas",
    "f": "f func function fn fun loss lossfn objective",
    "df": "df dout dy grad",
    "h": "h eps epsilon delta step dx",
    "verbose": "verbose",
    "w1": "w1 weight1 weights1 win fc1weight",
    "b1": "b1 bias1 biases1 fc1bias",
    "w2": "w2 weight2 weights2 wout fc2weight",
    "b2": "b2 bias2 biases2 fc2bias",
    "params": "params parameters weights model p theta net",
    "reg": "reg regularization regularisation lam lambda lmbda lambd weightdecay l2 strength alpha wd regstrength "
    "decay l2reg",
    "conv_param": "convparam params param convparams",
    "pool_param": "poolparam params param poolparams",
    "bn_param": "bnparam params param bnparams",
    "ln_param": "lnparam params param lnparams",
    "dropout_param": "dropoutparam params param dropoutparams",
}
_ALIASES = {role: tuple(words.split()) for role, words in _WORDS.items()}


@dataclass(frozen=True)
class Binding:
    """How a function is called.

    Attributes:
        form: the accepted signature.
        order: the roles of its positional parameters, in order.
        keywords: role -> the name of a parameter that is passed by name.
        score: how many parameters have the usual names.
    """

    form: Form
    order: tuple[str, ...]
    keywords: Mapping[str, str]
    score: float

    @property
    def roles(self) -> frozenset[str]:
        """All parameters that will be passed."""
        return frozenset(self.order) | frozenset(self.keywords)

    def call(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """What the function returns for these values of the roles."""
        return function(
            *(values[role] for role in self.order), **{name: values[role] for role, name in self.keywords.items()}
        )


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def described(function: Any) -> str:
    """`f(x, w=None)`, as far as Python knows it."""
    name = getattr(function, "__name__", type(function).__name__)
    try:
        text = f"{name}{inspect.signature(function)}"
    except (TypeError, ValueError):
        return str(name)
    return text if len(text) <= 200 else f"{text[:197]}..."


def accepted(part: PartOfOperation, style: str | None = None) -> str:
    """The accepted signatures of a part, one a line."""
    return "\n".join(f"  {form.style}: {form.text}" for form in part.forms if style in (None, form.style))


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def bind(function: Callable[..., Any], form: Form) -> Binding | str:
    """How to call a function of this form, or why it is not of this form."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # functions in C
        return Binding(form, form.required, {}, 0)
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    named_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    takes_more = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    takes_names = any(p.kind is p.VAR_KEYWORD for p in parameters)
    matched, score = _by_name([*positional, *named_only], form)
    if not set(form.required) <= set(matched.values()):
        matched, score = _by_place(positional, named_only, form, matched)
    lacking = [role for role in form.required if role not in matched.values()]
    if lacking and takes_more and not positional:
        return Binding(form, form.required, {}, score)
    if lacking:
        return f"it takes no {' and no '.join(lacking)}"
    unknown = [p.name for p in (*positional, *named_only) if p.name not in matched and p.default is p.empty]
    if unknown:
        return f"it is not known what its parameter{'s' * (len(unknown) > 1)} {', '.join(unknown)} should be given"
    order: list[str] = []
    keywords: dict[str, str] = {}
    gap = False
    for parameter in positional:
        if parameter.name not in matched:
            gap = True
        elif gap:
            keywords[matched[parameter.name]] = parameter.name
        else:
            order.append(matched[parameter.name])
    for parameter in named_only:
        if parameter.name in matched:
            keywords[matched[parameter.name]] = parameter.name
    if takes_names:
        for role in form.optional:
            if role not in order and role not in keywords:
                keywords[role] = role
    return Binding(form, tuple(order), keywords, score)


def _by_name(parameters: list[inspect.Parameter], form: Form) -> tuple[dict[str, str], float]:
    """name of a parameter -> its role, for those whose names are known; exact names go first."""
    roles = [*form.required, *form.optional]
    matched: dict[str, str] = {}
    score = 0.0
    usual = {_plain(name) for name in form.names}
    for rank in range(2):
        for parameter in parameters:
            if parameter.name in matched:
                continue
            name = _plain(parameter.name)
            for role in roles:
                known = (_plain(role),) if rank == 0 else _ALIASES.get(role, ())
                if role not in matched.values() and name in known:
                    matched[parameter.name] = role
                    score += 1 + (name in usual)
                    break
    return matched, score


def _by_place(
    positional: list[inspect.Parameter], named_only: list[inspect.Parameter], form: Form, by_name: dict[str, str]
) -> tuple[dict[str, str], float]:
    """The required roles in the order of the parameters; the others by their names."""
    needed = [p for p in positional if p.default is p.empty]
    if len(needed) < len(form.required):
        needed = positional[: len(form.required)]
    if len(needed) == len(form.required):
        matched = {p.name: role for p, role in zip(needed, form.required, strict=True)}
    elif len(form.required) < len(needed) <= len(form.required) + len(form.optional):
        roles = (*form.required, *form.optional)
        matched = {p.name: role for p, role in zip(needed, roles, strict=False)}
    else:
        return by_name, 0
    for p in (*positional, *named_only):
        role = by_name.get(p.name)
        if p.name not in matched and role in form.optional and role not in matched.values():
            matched[p.name] = str(role)
    return matched, 0.25


def recognise(
    operation: Operation, functions: Mapping[str, Callable[..., Any]], style: str | None
) -> dict[str, list[Binding] | Misfit]:
    """For each part that is given, how to call its function: the likely way first. All have one style, if possible."""
    found: dict[str, list[Binding] | Misfit] = {}
    scores: dict[str, float] = {}
    for name, function in functions.items():
        part = operation.part(name)
        forms = [form for form in part.forms if style in (None, form.style)]
        results = [(form, bind(function, form)) for form in forms]
        fitting = [binding for _, binding in results if isinstance(binding, Binding)]
        if "forward" not in functions and any(not binding.form.takes_cache for binding in fitting):
            fitting = [binding for binding in fitting if not binding.form.takes_cache]
        if fitting:
            found[name] = fitting
            for known in dict.fromkeys(binding.form.style for binding in fitting):
                best = max(binding.score for binding in fitting if binding.form.style == known)
                scores[known] = scores.get(known, 0) + best
        else:
            reasons = "; ".join(dict.fromkeys(str(reason) for _, reason in results))
            found[name] = Misfit(
                f"the signature is not an accepted one: {reasons}\n"
                f"Received: {described(function)}\nAccepted:\n{accepted(part, style)}"
            )
    recognised = [bindings for bindings in found.values() if isinstance(bindings, list)]
    for bindings in recognised:
        only = {binding.form.style for binding in bindings}
        if len(only) == 1:  # this function can be of one style only, so the others are taken to be, too
            scores[only.pop()] += 100
    chosen = max(scores, key=lambda known: scores[known], default=None)
    for bindings in recognised:
        bindings.sort(key=lambda binding: (binding.form.style != chosen, -binding.score))
    return found
