"""The gradient check of whatever has a gradient: functions of tensors, operations, several inputs, only a forward."""

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import insight, nn


def rows(rng, n=6, features=4):
    return rng.standard_normal((n, features))


class Scale(nn.Module):
    """y = x * weight, by hand."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.array([1.0, -2.0, 3.0], np.float32))

    def forward(self, x):
        self.x = x
        return x * self.weight.data

    def backward(self, dy):
        self.weight.add_grad((dy * self.x).sum(axis=0))
        return dy * self.weight.data


class Overwrites(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.weight.grad = (dy * self.x).sum(axis=0)
        return dx


class Product(fastnn.Op):
    """a * b; one of its gradients can be made wrong."""

    factor = 1.0

    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dy):
        return dy * self.b, self.factor * dy * self.a


class HalfProduct(Product):
    factor = 0.5


def test_gradcheck_of_a_class_of_operations_checks_every_input(rng):
    a, b = rng.standard_normal((2, 3, 4))
    result = insight.gradcheck(Product, (a, b))
    assert result.ok, str(result)
    assert [(row.name, row.checked) for row in result.rows] == [("input 0", 12), ("input 1", 12)]
    result = insight.gradcheck(HalfProduct, (a, b))
    assert [row.cause.partition(":")[0] for row in result.rows] == ["", "the gradient is 2 times too small"]


def test_gradcheck_of_a_function_of_tensors(rng):
    x = rows(rng)
    assert insight.gradcheck(lambda x: F.softmax(F.tanh(x), 1), x).ok
    weight = rng.standard_normal((3, 4))
    result = insight.gradcheck(F.linear, (x.astype(np.float32), weight, np.ones(3, np.float32)))
    assert [row.name for row in result.rows] == ["input 0", "input 1", "input 2"]
    assert result.ok, str(result)
    assert insight.gradcheck(F.cross_entropy, x, np.array([0, 1, 2, 3, 0, 1])).ok
    assert insight.gradcheck(F.mse_loss, x, np.ones_like(x)).ok  # a target has no gradient here, also of floats
    assert not insight.gradcheck(lambda x: HalfProduct()(x, x), x).ok


def test_gradcheck_of_several_inputs_leaves_integers_out(rng):
    class Gather(fastnn.Op):
        def forward(self, places, table):
            self.places, self.shape = places, table.shape
            return table[places]

        def backward(self, dy):
            gradient = np.zeros(self.shape)
            np.add.at(gradient, self.places, dy)
            return None, gradient

    result = insight.gradcheck(Gather, (np.array([0, 2, 2]), rng.standard_normal((4, 2))))
    assert [row.name for row in result.rows] == ["input 1"]
    assert result.ok, str(result)


class Bilinear(nn.Module):
    """y = (a @ weight) * b, by hand; `wrong` makes something else of its two gradients."""

    def __init__(self, wrong=lambda da, db: (da, db)):
        super().__init__()
        self.weight = nn.Parameter(np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32))
        self.wrong = wrong

    def forward(self, a, b):
        self.a, self.b, self.product = a, b, a @ self.weight.data
        return self.product * b

    def backward(self, dy):
        self.weight.add_grad(self.a.T @ (dy * self.b))
        return self.wrong((dy * self.b) @ self.weight.data.T, dy * self.product)


class Twice(nn.Module):
    """A layer of two arguments between others; only a forward."""

    def __init__(self, layer):
        super().__init__()
        self.first, self.layer = nn.Linear(4, 4), layer

    def forward(self, x):
        a = self.first(x)
        return self.layer(a, F.tanh(a))


def test_gradcheck_of_modules_of_several_inputs(rng):
    a, b = rng.standard_normal((2, 5, 4))
    result = insight.gradcheck(Bilinear(), (a, b))
    assert [row.name for row in result.rows] == ["input 0", "input 1", "weight"]
    assert result.ok, str(result)
    wrong = insight.gradcheck(Bilinear(lambda da, db: (da, -db)), (a, b))
    assert [row.name for row in wrong.rows if not row.ok] == ["input 1"]
    assert "the sign is wrong" in wrong["input 1"].cause
    only_one = insight.gradcheck(Bilinear(lambda da, db: da), (a, b))
    assert [row.cause for row in only_one.rows if not row.ok] == ["there is no gradient: backward does not compute it"]
    labels = np.array([0, 1, 2, 3, 0])
    assert insight.gradcheck(Bilinear(), (a, b), labels, criterion=nn.CrossEntropyLoss())["input 1"].ok
    # Alone, x is one input, and others are not asked for.
    assert [row.name for row in insight.gradcheck(Bilinear(), a, b).rows] == ["input", "weight"]


def test_gradcheck_blames_a_layer_of_several_inputs_within_a_network(rng):
    assert insight.gradcheck(Twice(Bilinear()), rng.standard_normal((5, 4))).ok
    result = insight.gradcheck(Twice(Bilinear(lambda da, db: (da, 2 * db))), rng.standard_normal((5, 4)))
    (note,) = result.notes
    assert note.startswith("layer 'layer' (Bilinear) is wrong on its own: input 1: the gradient is 2 times too large")


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_gradcheck_names_an_operation_that_writes_into_what_it_is_given(phase, rng):
    class Careless(fastnn.Op):
        def forward(self, x):
            y = 2 * x
            if phase == "forward":
                x[0] = 0
            return y

        def backward(self, dy):
            dx = 2 * dy
            if phase == "backward":
                dy[0] = 0
            return dx

    class Uses(nn.Module):
        def forward(self, x):
            return Careless()(x)

    result = insight.gradcheck(nn.Sequential(nn.Linear(4, 4), Uses(), nn.Linear(4, 2)), rows(rng))
    what = "its input" if phase == "forward" else "dy"
    assert (
        f"layer '1' (Uses): {phase} of the operation Careless changes {what} in place: work on a copy" in result.faults
    )


def test_gradcheck_of_a_network_that_is_only_a_forward_blames_the_layer(rng):
    class Net(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.a, self.b, self.layer = nn.Linear(4, 3), nn.Linear(3, 2), layer

        def forward(self, x):
            return self.b(self.layer(F.relu(self.a(x))))

    labels = np.arange(6) % 2
    assert insight.gradcheck(Net(Scale()), rows(rng), labels, criterion=nn.CrossEntropyLoss()).ok
    result = insight.gradcheck(Net(Overwrites()), rows(rng), labels, criterion=nn.CrossEntropyLoss())
    assert "layer 'layer' (Overwrites) is wrong on its own: weight: backward overwrites" in str(result)


def test_gradcheck_of_a_layer_called_twice_by_a_network_by_tensors_is_right(rng):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Scale()

        def forward(self, x):
            return self.layer(F.tanh(self.layer(x)))

    assert insight.gradcheck(Net(), rng.standard_normal((4, 3))).ok
