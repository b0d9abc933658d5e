"""Submissions for the tests of grading: a right one for the smallest spec, and what others put in place of it."""

SPEC = """
title = "Small"
[limits]
time = 1
total = 8
memory = 300
output = 64
[[task]]
name = "ReLU"
operation = "relu"
points = { forward = 4, backward = 6 }
hint = "Look at the sign."
functions = { forward = "relu_forward", backward = "relu_backward" }
"""

RIGHT = """
import numpy as np
def relu_forward(x):
    return np.maximum(x, 0), x
def relu_backward(dout, cache):
    return dout * (cache > 0)
"""


def with_body(body: str) -> str:
    """A submission whose two functions have this body, with `args` for the arguments."""
    head = "import os, sys\nimport numpy as np\n"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f"{head}def relu_forward(*args):\n{lines}\ndef relu_backward(dout, cache):\n    args = dout, cache\n{lines}\n"
    )
