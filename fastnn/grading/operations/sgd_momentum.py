"""A step of stochastic gradient descent with momentum."""

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
        label: str, shape: tuple[int, ...], lr: float, momentum: float, dtype: Any = np.float64, **more: Any
    ) -> Case:
        inputs: Inputs = {
            name: rng.standard_normal(shape).astype(dtype) for name in ("parameter", "gradient", "velocity")
        }
        if "first step" in more.get("tags", ()):
            inputs["velocity"] = np.zeros(shape, dtype)
        inputs |= {"lr": lr, "momentum": momentum}
        return Case(f"{label}shape {shape}, lr={lr:g}, momentum={momentum:g}", inputs, **more)

    return [
        case("", (4, 3), 0.1, 0.9),
        case("", (5,), 0.03, 0.7),
        case("", (2, 3, 2), 0.5, 0.3),
        case("first step, ", (3, 4), 0.2, 0.8, tags=("first step",)),
        case("no momentum, ", (4, 2), 0.05, 0.0, tags=("no momentum",)),
        case("one number, ", (1,), 0.3, 0.6, tags=("one number",)),
        case("float32, ", (4, 4), 0.1, 0.9, np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right(inputs: Inputs) -> Results:
    i = double(inputs)
    parameter, velocity = i["parameter"].copy(), i["velocity"].copy()
    if "inside" in i:  # v = momentum v - lr g, w += v: in PyTorch's terms, the buffer is -v / lr
        velocity = -velocity / i["lr"]
    reference.sgd_step(parameter, i["gradient"], velocity, i["lr"], i["momentum"], 0.0, 0.0, False, False)
    return {"parameter": parameter, "velocity": -i["lr"] * velocity if "inside" in i else velocity}


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    w, g, v, lr, mu = (i[name] for name in ("parameter", "gradient", "velocity", "lr", "momentum"))
    inside = "inside" in i  # whether the velocity contains the learning rate
    if "the learning rate is in the wrong place: inside the velocity" in wrong:
        inside = True
    if "the learning rate is in the wrong place: outside the velocity" in wrong:
        inside = False
    sign = -1.0 if "inside" in i else 1.0  # of the velocity
    if "the velocity has the other sign" in wrong:
        sign = -sign
    if "the old velocity is not used" in wrong:
        v = np.zeros_like(v)
    if "1 - momentum for momentum" in wrong:
        mu = 1 - mu
    keep, new = mu, 1.0
    if "the old velocity is not multiplied by the momentum" in wrong:
        keep = 1.0
    if "dampening: the gradient is multiplied by 1 - momentum" in wrong:
        new = 1 - mu
    if "the momentum multiplies the gradient, not the velocity" in wrong:
        keep, new = 1.0, mu
    if "the momentum multiplies velocity and gradient" in wrong:
        new = mu
    if "the momentum has the wrong sign" in wrong:
        keep = -keep
    if "the gradient has the wrong sign" in wrong:
        new = -new
    if "the gradient is missing in the velocity" in wrong:
        new = 0.0
    rate = lr if inside else 1.0
    if "the learning rate is missing" in wrong:
        rate = 1.0
        inside = True
    step = keep * v + sign * new * rate * g
    after = 1.0 if inside else lr
    if "the learning rate is applied twice" in wrong:
        after = lr if inside else lr * lr
    move = step
    if "the old velocity moves the parameter" in wrong:
        move = v
    if "Nesterov momentum instead of the plain one" in wrong:
        move = keep * step + sign * rate * g
    if "Nesterov momentum of cs231n: -momentum * v_old + (1 + momentum) * v" in wrong:
        move = (1 + mu) * step - mu * v
    if "the momentum is not used: plain gradient descent" in wrong:
        move = sign * rate * g
    parameter = w - sign * after * move
    if "the step has the wrong sign: gradient ascent" in wrong:
        parameter = w + sign * after * move
    if "the parameter is not changed" in wrong:
        parameter = w
    if "the step is returned, not the parameter" in wrong:
        parameter = -sign * after * move
    velocity = step
    if "the velocity is not updated" in wrong:
        velocity = v
    if "the step is returned as the velocity" in wrong:
        velocity = after * move
    if "parameter and velocity are returned in the other order" in wrong:
        parameter, velocity = velocity, parameter
    return {"parameter": parameter, "velocity": velocity}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    w, g, v, lr, mu = (i[name] for name in ("parameter", "gradient", "velocity", "lr", "momentum"))
    if "inside" in i:
        return {
            "parameter": {"of the old parameter": w, "of the old velocity": mu * v, "of the gradient": -lr * g},
            "velocity": {"of the old velocity": mu * v, "of the gradient": -lr * g},
        }
    return {
        "parameter": {"of the old parameter": w, "of the old velocity": -lr * mu * v, "of the gradient": -lr * g},
        "velocity": {"of the old velocity": mu * v, "of the gradient": g},
    }


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {
        "the learning rate": inputs["lr"],
        "the momentum": inputs["momentum"],
        "the number of entries": inputs["parameter"].size,
    }


def _config(i: Inputs) -> dict[str, Any]:
    config = {"learning_rate": i["lr"], "momentum": i["momentum"]}
    if i["velocity"].any():
        config["velocity"] = i["velocity"]
    return {"config": config}


def _read_config(raw: Any, values: dict[str, Any]) -> Results:
    config = values["config"]
    parameter = raw
    if isinstance(raw, tuple | list) and len(raw) == 2:
        parameter, config = raw
    elif raw is None:
        parameter = values["parameter"]
    velocity = config.get("velocity") if isinstance(config, dict) else config
    return {"parameter": parameter, "velocity": velocity}


def _read_step(raw: Any, values: dict[str, Any]) -> Results:
    if raw is None:  # both are changed in place
        return {"parameter": values["parameter"], "velocity": values["velocity"]}
    if isinstance(raw, tuple | list) and len(raw) == 2:
        return {"parameter": raw[0], "velocity": raw[1]}
    return {"parameter": raw, "velocity": values["velocity"]}


_STEP = (
    "velocity = momentum * velocity + gradient; parameter -= lr * velocity (PyTorch); v = momentum * v - lr * dw; w "
    "+= v "
    "(cs231n)"
)
_RESULTS = ("parameter", "velocity")
_HINTS = {
    **FLOAT32_HINT,
    "first step": "wrong only in the first step, when the velocity is 0 or not there yet",
    "no momentum": "wrong only for momentum 0",
    "one number": "wrong only for a single number",
}

OPERATION = Operation(
    name="sgd_momentum",
    title="A step of stochastic gradient descent with momentum",
    formula="""\
PyTorch: velocity = momentum * velocity + gradient; parameter = parameter - lr * velocity
cs231n:  v = momentum * v - learning_rate * dw; w = w + v""",
    parts=(
        PartOfOperation(
            name="step",
            forms=(
                Form(
                    "pytorch",
                    "step(parameter, gradient, velocity, lr, momentum) -> (parameter, velocity), or None with both "
                    "changed in place",
                    ("parameter", "gradient", "velocity", "lr", "momentum"),
                    _RESULTS,
                    read=_read_step,
                    may_change=frozenset({"parameter", "velocity"}),
                    names=("parameter", "gradient", "velocity", "lr", "momentum"),
                ),
                Form(
                    "cs231n",
                    "step(w, dw, config) -> (w, config), with config = {learning_rate, momentum, velocity}; at the "
                    "first step "
                    "config has no velocity",
                    ("parameter", "gradient", "config"),
                    _RESULTS,
                    arguments=_config,
                    read=_read_config,
                    extra={"inside": True},
                    may_change=frozenset({"parameter", "config"}),
                    names=("w", "dw", "config"),
                ),
            ),
            cases=_cases,
            right=_right,
            compute=_compute,
            mistakes={
                "the momentum is not used: plain gradient descent": _STEP,
                "Nesterov momentum instead of the plain one": _STEP,
                "Nesterov momentum of cs231n: -momentum * v_old + (1 + momentum) * v": _STEP,
                "the momentum has the wrong sign": _STEP,
                "the gradient has the wrong sign": _STEP,
                "the step has the wrong sign: gradient ascent": "the sign is flipped: " + _STEP,
                "the velocity has the other sign": _STEP,
                "the learning rate is in the wrong place: inside the velocity": "v = momentum * v + gradient; lr "
                "multiplies v in the step of the parameter",
                "the learning rate is in the wrong place: outside the velocity": "v = momentum * v - learning_rate * "
                "dw",
                "the learning rate is missing": _STEP,
                "the learning rate is applied twice": _STEP,
                "dampening: the gradient is multiplied by 1 - momentum": "the gradient has the factor 1: " + _STEP,
                "1 - momentum for momentum": _STEP,
                "the old velocity is not multiplied by the momentum": _STEP,
                "the momentum multiplies the gradient, not the velocity": _STEP,
                "the momentum multiplies velocity and gradient": _STEP,
                "the gradient is missing in the velocity": _STEP,
                "the old velocity is not used": _STEP,
                "the old velocity moves the parameter": "update the velocity first, then the parameter with the new "
                "one",
                "the velocity is not updated": "return the new velocity, or store it: config['velocity'] = v",
                "the step is returned as the velocity": _STEP,
                "the parameter is not changed": "return the new parameter",
                "the step is returned, not the parameter": "add the step to the old parameter",
                "parameter and velocity are returned in the other order": "return (parameter, velocity)",
            },
            terms=_terms,
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
