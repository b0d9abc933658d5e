"""A step of Adam."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str,
        shape: tuple[int, ...],
        t: int,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        scale: float = 1.0,
        dtype: Any = np.float64,
        **more: Any,
    ) -> Case:
        first = "first step" in more.get("tags", ())
        arrays = {
            "parameter": rng.standard_normal(shape),
            "gradient": scale * rng.standard_normal(shape),
            "m": np.zeros(shape) if first else scale * rng.standard_normal(shape),
            "v": np.zeros(shape) if first else scale**2 * rng.uniform(0.1, 2, shape),
        }
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        inputs |= {"t": t, "lr": lr, "beta1": betas[0], "beta2": betas[1], "eps": eps}
        words = f"{label}shape {shape}, t={t}, lr={lr:g}, betas={betas}, eps={eps:g}"
        return Case(words, inputs, **more)

    return [
        case("", (4, 3), 3),
        case("small gradients, ", (5, 2), 4, scale=1e-6, tags=("small gradients",)),
        case("", (6,), 2, lr=0.1, betas=(0.8, 0.95), eps=0.1),
        case("", (2, 3, 2), 7, lr=0.02, betas=(0.7, 0.9), eps=1e-2),
        case("first step, ", (3, 4), 1, lr=0.05, eps=1e-3, tags=("first step",)),
        case("late, ", (4, 2), 5000, lr=0.01, eps=1e-4, tags=("late",)),
        case("one number, ", (1,), 3, eps=0.03, tags=("one number",)),
        case("float32, ", (4, 4), 3, lr=0.1, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right(inputs: Inputs) -> Results:
    i = double(inputs)
    parameter, m, v = i["parameter"].copy(), i["m"].copy(), i["v"].copy()
    betas = i["beta1"], i["beta2"]
    reference.adam_step(parameter, i["gradient"], m, v, None, i["t"], i["lr"], betas, i["eps"], 0.0, 0.0, False)
    return {"parameter": parameter, "m": m, "v": v, "t": np.asarray(float(i["t"]))}


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    w, g, m0, v0, t = i["parameter"], i["gradient"], i["m"], i["v"], i["t"]
    lr, beta1, beta2, eps = i["lr"], i["beta1"], i["beta2"], i["eps"]
    if "beta1 and beta2 are exchanged" in wrong:
        beta1, beta2 = beta2, beta1
    if "the gradient has the wrong sign" in wrong:
        g = -g
    if "t starts at 0" in wrong:
        t = t - 1
    if "t is one too large" in wrong:
        t = t + 1
    m = beta1 * m0 + (1 - beta1) * g
    v = beta2 * v0 + (1 - beta2) * g * g
    if "beta and 1 - beta are exchanged in m" in wrong:
        m = (1 - beta1) * m0 + beta1 * g
    if "beta and 1 - beta are exchanged in v" in wrong:
        v = (1 - beta2) * v0 + beta2 * g * g
    if "the gradient is not multiplied by 1 - beta1 in m" in wrong:
        m = beta1 * m0 + g
    if "the gradient is not multiplied by 1 - beta2 in v" in wrong:
        v = beta2 * v0 + g * g
    if "the old m is not multiplied by beta1" in wrong:
        m = m0 + (1 - beta1) * g
    if "the old v is not multiplied by beta2" in wrong:
        v = v0 + (1 - beta2) * g * g
    if "the old m is not used" in wrong:
        m = (1 - beta1) * g
    if "the old v is not used" in wrong:
        v = (1 - beta2) * g * g
    if "the gradient is not squared in v" in wrong:
        v = beta2 * v0 + (1 - beta2) * g
    if "the magnitude of the gradient instead of its square in v" in wrong:
        v = beta2 * v0 + (1 - beta2) * np.abs(g)
    if "v averages the square of m instead of that of the gradient" in wrong:
        v = beta2 * v0 + (1 - beta2) * m * m
    if "1 - beta2 is squared with the gradient in v" in wrong:
        v = beta2 * v0 + ((1 - beta2) * g) ** 2
    if "beta1 is used for v, too" in wrong:
        v = beta1 * v0 + (1 - beta1) * g * g
    if "beta2 is used for m, too" in wrong:
        m = beta2 * m0 + (1 - beta2) * g
    correction1, correction2 = 1 - beta1**t, 1 - beta2**t
    if "no bias correction" in wrong:
        correction1 = correction2 = 1.0
    if "no bias correction of m" in wrong:
        correction1 = 1.0
    if "no bias correction of v" in wrong:
        correction2 = 1.0
    if "the bias correction does not use t: 1 - beta" in wrong:
        correction1, correction2 = 1 - beta1, 1 - beta2
    if "the bias correction multiplies t instead of taking a power: 1 - beta * t" in wrong:
        correction1, correction2 = 1 - beta1 * t, 1 - beta2 * t
    if "the bias correction multiplies instead of dividing" in wrong:
        correction1, correction2 = 1 / correction1, 1 / correction2
    if "the bias corrections are exchanged" in wrong:
        correction1, correction2 = correction2, correction1
    if "the bias correction has a plus" in wrong:
        correction1, correction2 = 1 + beta1**t, 1 + beta2**t
    if "the bias correction of m is used for v, too" in wrong:
        correction2 = correction1
    if "the bias correction of v is used for m, too" in wrong:
        correction1 = correction2
    m_hat, v_hat = m / correction1, v / correction2
    root = np.sqrt(v_hat) + eps
    if "eps inside the root" in wrong:
        root = np.sqrt(v_hat + eps)
    if "eps missing" in wrong:
        root = np.sqrt(v_hat)
    if "eps is added before the bias correction" in wrong:
        root = (np.sqrt(v) + eps) / np.sqrt(correction2)
    if "eps is subtracted" in wrong:
        root = np.sqrt(v_hat) - eps
    if "eps squared inside the root" in wrong:
        root = np.sqrt(v_hat + eps * eps)
    if "the root is missing" in wrong:
        root = v_hat + eps
    move = m_hat
    if "the gradient instead of m in the step (RMSprop)" in wrong:
        move = g
    if "not divided by the root of v (momentum only)" in wrong:
        root = np.ones_like(root)
    if "multiplied by the root instead of divided" in wrong:
        root = 1 / root
    if "the old m and v move the parameter" in wrong:
        move, root = m0 / correction1, np.sqrt(v0 / correction2) + eps
    rate = lr
    if "the learning rate is missing" in wrong:
        rate = 1.0
    parameter = w - rate * move / root
    if "the step has the wrong sign: gradient ascent" in wrong:
        parameter = w + rate * move / root
    if "the parameter is not changed" in wrong:
        parameter = w
    if "the step is returned, not the parameter" in wrong:
        parameter = -rate * move / root
    if "the corrected m and v are stored" in wrong:
        m, v = m_hat, v_hat
    if "m is not updated" in wrong:
        m = m0
    if "v is not updated" in wrong:
        v = v0
    after = i["t"]
    if "t is not counted up" in wrong:
        after = after - 1
    return {"parameter": parameter, "m": m, "v": v, "t": np.asarray(float(after))}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    m, v, g, beta1, beta2 = (i[name] for name in ("m", "v", "gradient", "beta1", "beta2"))
    move = _right(inputs)["parameter"] - i["parameter"]
    return {
        "parameter": {"of the old parameter": i["parameter"], "of the step": move},
        "m": {"of the old m": beta1 * m, "of the gradient": (1 - beta1) * g},
        "v": {"of the old v": beta2 * v, "of the squared gradient": (1 - beta2) * g * g},
    }


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {
        "the learning rate": inputs["lr"],
        "beta1": inputs["beta1"],
        "beta2": inputs["beta2"],
        "t": inputs["t"],
        "eps": inputs["eps"],
    }


def _config(i: Inputs) -> dict[str, Any]:
    config: dict[str, Any] = {
        "learning_rate": i["lr"],
        "beta1": i["beta1"],
        "beta2": i["beta2"],
        "epsilon": i["eps"],
        "m": i["m"],
        "v": i["v"],
        "t": i["t"] - 1,
    }
    return {"config": config}


def _read_config(raw: Any, values: dict[str, Any]) -> Results:
    config, parameter = values["config"], raw
    if isinstance(raw, tuple | list) and len(raw) == 2:
        parameter, config = raw
    elif raw is None:
        parameter = values["parameter"]
    get = config.get if isinstance(config, dict) else {}.get
    return {"parameter": parameter, **{name: get(name) for name in ("m", "v", "t")}}


def _read_step(raw: Any, values: dict[str, Any]) -> Results:
    if raw is None:  # all are changed in place
        return {name: values[name] for name in ("parameter", "m", "v")}
    if isinstance(raw, tuple | list) and len(raw) >= 3:
        return dict(zip(("parameter", "m", "v"), raw, strict=False))
    return {"parameter": raw, "m": values["m"], "v": values["v"]}


def _betas(i: Inputs) -> dict[str, Any]:
    return {"betas": (i["beta1"], i["beta2"])}


_STEP = "parameter -= lr * m_hat / (sqrt(v_hat) + eps)"
_M, _V = "m = beta1 * m + (1 - beta1) * g", "v = beta2 * v + (1 - beta2) * g**2"
_CORRECTION = "m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t)"
_MISTAKES = {
    "no bias correction": _CORRECTION,
    "no bias correction of m": _CORRECTION,
    "no bias correction of v": _CORRECTION,
    "t starts at 0": "t is 1 in the first step: in cs231n, count it up before it is used",
    "t is one too large": "t is 1 in the first step",
    "the bias correction does not use t: 1 - beta": _CORRECTION,
    "the bias correction multiplies t instead of taking a power: 1 - beta * t": _CORRECTION,
    "the bias correction multiplies instead of dividing": _CORRECTION,
    "the bias correction has a plus": _CORRECTION,
    "the bias corrections are exchanged": _CORRECTION,
    "the bias correction of m is used for v, too": _CORRECTION,
    "the bias correction of v is used for m, too": _CORRECTION,
    "beta1 and beta2 are exchanged": f"{_M}; {_V}",
    "beta and 1 - beta are exchanged in m": _M,
    "beta and 1 - beta are exchanged in v": _V,
    "the gradient is not multiplied by 1 - beta1 in m": _M,
    "the gradient is not multiplied by 1 - beta2 in v": _V,
    "the old m is not multiplied by beta1": _M,
    "the old v is not multiplied by beta2": _V,
    "the old m is not used": _M,
    "the old v is not used": _V,
    "the gradient is not squared in v": "m not squared: " + _V,
    "the magnitude of the gradient instead of its square in v": _V,
    "v averages the square of m instead of that of the gradient": _V,
    "1 - beta2 is squared with the gradient in v": "brackets: " + _V,
    "beta1 is used for v, too": _V,
    "beta2 is used for m, too": _M,
    "eps inside the root": _STEP,
    "eps missing": _STEP,
    "eps is added before the bias correction": _STEP,
    "eps is subtracted": _STEP,
    "eps squared inside the root": _STEP,
    "the root is missing": _STEP,
    "the gradient instead of m in the step (RMSprop)": _STEP,
    "not divided by the root of v (momentum only)": _STEP,
    "multiplied by the root instead of divided": _STEP,
    "the old m and v move the parameter": "update m and v first",
    "the learning rate is missing": _STEP,
    "the step has the wrong sign: gradient ascent": "the sign is flipped: " + _STEP,
    "the gradient has the wrong sign": _M,
    "the parameter is not changed": "return the new parameter",
    "the step is returned, not the parameter": "add the step to the old parameter",
    "the corrected m and v are stored": "store m and v themselves; the corrected ones are for this step only",
    "m is not updated": "return or store the new m",
    "v is not updated": "return or store the new v",
    "t is not counted up": "config['t'] must be counted up by 1 at every step",
}
_HINTS = {
    **FLOAT32_HINT,
    "first step": "wrong only in the first step: is t = 1 there?",
    "late": "wrong only for a large t",
    "small gradients": "wrong only for small gradients, where eps matters",
    "one number": "wrong only for a single number",
}
_STATE = ("parameter", "gradient", "m", "v", "t")
_DEFAULTS = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

OPERATION = Operation(
    name="adam",
    title="A step of Adam",
    formula=f"{_M}; {_V}\n{_CORRECTION}, t = 1 in the first step\n{_STEP}",
    parts=(
        PartOfOperation(
            name="step",
            forms=(
                Form(
                    "pytorch",
                    "step(parameter, gradient, m, v, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8) -> (parameter, m, "
                    "v), or None "
                    "with all three changed in place; t is 1 in the first step",
                    _STATE,
                    ("parameter", "m", "v"),
                    _DEFAULTS,
                    read=_read_step,
                    may_change=frozenset({"parameter", "m", "v"}),
                    names=(*_STATE, *_DEFAULTS),
                ),
                Form(
                    "pytorch",
                    "step(parameter, gradient, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8) -> (parameter, m, v)",
                    (*_STATE, "betas"),
                    ("parameter", "m", "v"),
                    {"lr": 1e-3, "eps": 1e-8},
                    arguments=_betas,
                    read=_read_step,
                    may_change=frozenset({"parameter", "m", "v"}),
                    names=(*_STATE, "betas"),
                ),
                Form(
                    "cs231n",
                    "step(w, dw, config) -> (w, config), with config = {learning_rate, beta1, beta2, epsilon, m, v, "
                    "t}; t is 0 "
                    "before the first step and counted up",
                    ("parameter", "gradient", "config"),
                    ("parameter", "m", "v", "t"),
                    arguments=_config,
                    read=_read_config,
                    may_change=frozenset({"parameter", "config"}),
                    names=("w", "dw", "config"),
                ),
            ),
            cases=_cases,
            right=_right,
            compute=_compute,
            mistakes=_MISTAKES,
            terms=_terms,
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
