"""Embedding: rows by hand, sums of gradients, and what it refuses."""

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn, reference

TABLE = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, ">i4"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 1, 3), (0,), (0, 2)])
def test_embedding_takes_rows_of_any_shape_and_integer_dtype(shape, dtype, rng):
    x = rng.integers(0, 4, shape).astype(dtype)
    y = F.embedding(x, TABLE)
    assert y.shape == (*shape, 3)
    np.testing.assert_array_equal(y, TABLE[x.astype(int)])
    np.testing.assert_array_equal(y, reference.embedding(np.asarray(x, int), TABLE))


def test_embedding_gradient_adds_up_duplicates():
    weight = fastnn.tensor(TABLE, requires_grad=True)
    y = F.embedding([[1, 3], [1, 1]], weight)
    y.backward([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]], [[100.0, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    assert weight.grad.tolist() == [[0, 0, 0], [101, 2.5, 3], [0, 0, 0], [10, 20, 30]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embedding_gradient_is_that_of_the_product_with_one_hot_rows(dtype, rng):
    x, dy = rng.integers(0, 50, (20, 31)), rng.standard_normal((20, 31, 8)).astype(dtype)
    layer = nn.Embedding(50, 8).astype(dtype)
    layer(x)
    assert layer.backward(dy) is None
    one_hot = np.eye(50)[x.ravel()]
    expected = one_hot.T @ dy.reshape(-1, 8).astype(float)
    assert layer.weight.grad.dtype == dtype
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("padding_idx", [2, -2])
def test_embedding_padding_is_zero_and_gets_no_gradient(padding_idx):
    layer = nn.Embedding(4, 3, padding_idx)
    assert layer.padding_idx == 2
    assert not layer.weight.data[2].any()
    assert not layer(np.array([2, 2])).any()
    layer(np.array([2, 1, 2]))
    layer.backward(np.ones((3, 3), np.float32))
    assert layer.weight.grad.tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("rows", [1, 2, 7, 300])
def test_embedding_gradient_of_any_number_of_duplicates(rows, rng):
    """Whole numbers have exact sums, in whatever order."""
    x, dy = rng.integers(0, rows, 2000) ** 2 // rows, rng.integers(-9, 10, (2000, 3)).astype(np.float32)
    weight = fastnn.tensor(np.zeros((rows, 3), np.float32), requires_grad=True)
    F.embedding(x, weight).backward(dy)
    expected = np.zeros((rows, 3))
    np.add.at(expected, x, dy)
    np.testing.assert_array_equal(weight.grad, expected)


def test_embedding_remembers_its_indices_and_not_the_callers_array():
    layer, x = nn.Embedding(4, 3), np.array([0, 1])
    layer(x)
    x[...] = 3
    layer.backward(np.ones((2, 3), np.float32))
    assert layer.weight.grad.any(axis=1).tolist() == [True, True, False, False]


def test_embedding_of_tensors_of_integers(rng):
    weight = fastnn.tensor(TABLE, requires_grad=True)
    (F.embedding(fastnn.tensor([1, 1]), weight) * 2.0).sum().backward()
    assert weight.grad.tolist() == [[0, 0, 0], [4, 4, 4], [0, 0, 0], [0, 0, 0]]


def test_embedding_shares_its_weight_with_the_last_layer():
    """As language models do: both gradients come together."""
    layer, head = nn.Embedding(4, 3).astype(np.float64), nn.Linear(3, 4, bias=False).astype(np.float64)
    head.weight = layer.weight
    x = np.array([0, 2])
    head(layer(fastnn.tensor(x))).sum().backward()
    w = layer.weight.data
    expected = np.tile(w[x].sum(0), (4, 1))
    expected[x] += w.sum(0)
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=1e-14)


def test_embedding_learns_in_a_network():
    """Two classes of words; a bag of them has the class of its words."""
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    table, head = nn.Embedding(20, 4), nn.Linear(4, 2)
    criterion = nn.CrossEntropyLoss()
    optimizer = fastnn.optim.Adam([*table.parameters(), *head.parameters()], lr=0.05)
    for _ in range(60):
        labels = rng.integers(0, 2, 16)
        words = 2 * rng.integers(0, 10, (16, 5)) + labels[:, None]
        loss = criterion(head(table(fastnn.tensor(words)).mean(axis=1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_embedding_from_pretrained_holds_a_copy_and_is_frozen():
    table = TABLE.astype(np.float32)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    layer.weight.data[...] = 0
    np.testing.assert_array_equal(table, TABLE)
    free = nn.Embedding.from_pretrained(TABLE, freeze=False, padding_idx=1)
    free(np.array([1, 2]))
    free.backward(np.ones((2, 3)))
    assert free.weight.grad.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.Embedding(4, 3)([[0, 4]]), IndexError, r"Embedding: x\[0, 1\] is 4, but the rows .* are 0 to 3"),
        (lambda: nn.Embedding(4, 3)([-1]), IndexError, r"Embedding: x\[0\] is -1, .* Received: x.shape=\(1,\)"),
        (lambda: nn.Embedding(4, 3)(np.array(2**64 - 1, np.uint64)), IndexError, "Embedding: x is 1844674407"),
        (lambda: nn.Embedding(4, 3)([0.0]), TypeError, "Embedding: x must hold integers .* Received: dtype=float64"),
        (lambda: nn.Embedding(4, 3)(np.array([True])), TypeError, "Embedding: x must hold integers .* dtype=bool"),
        (lambda: F.embedding([0], TABLE[0]), ValueError, "embedding: weight has 1 dimensions, 2 are needed"),
        (lambda: F.embedding([0], TABLE, 4), ValueError, "embedding: padding_idx must be <= 3. Received: 4"),
        (lambda: F.embedding([0], TABLE, "a"), TypeError, "embedding: padding_idx must be an integer or None. Rec"),
        (lambda: nn.Embedding(4, 3, 4), ValueError, "Embedding: padding_idx must be a row .* Received: 4, num_emb"),
        (lambda: nn.Embedding(4, 3, max_norm=1.0), ValueError, "Embedding: max_norm must be None: .* Received: 1.0"),
        (lambda: nn.Embedding(0, 3), ValueError, "Embedding: num_embeddings must be >= 1. Received: 0"),
        (lambda: nn.Embedding(2**62, 3), ValueError, "Embedding: no memory holds a weight of shape"),
    ],
)
def test_embedding_refuses_by_name(call, error, words):
    with pytest.raises(error, match=f"^{words}"):
        call()


class Bag(nn.Module):
    """The mean of the vectors of words, and a layer."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.table(x).mean(axis=1))


class Written(nn.Module):
    """A module with a backward of its own, around one of fastnn's."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 4)

    def forward(self, x):
        y = self.table(x)
        assert type(y) is np.ndarray
        return y.reshape(len(x), -1)

    def backward(self, dy):
        return self.table.backward(dy.reshape(len(dy), -1, 4))


@pytest.mark.parametrize(
    "make",
    [Bag, lambda: nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(12, 2))],
    ids=["module", "sequential"],
)
def test_embedding_in_a_network_that_is_called_with_indices(make, rng):
    """There is no float among the arguments, and gradients come to all parameters all the same."""
    model = make().astype(np.float64)
    x, dy = rng.integers(0, 20, (5, 3)), rng.standard_normal((5, 2))
    y = model(x)
    assert type(y) is np.ndarray
    assert model.backward(dy) is None
    gradients = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    result = model(fastnn.tensor(x))
    np.testing.assert_array_equal(result.data, y)
    result.backward(dy)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert gradient.any()
        np.testing.assert_array_equal(parameter.grad, gradient)
    with fastnn.no_grad():
        np.testing.assert_array_equal(model(x), y)


def test_embedding_within_a_module_with_a_backward_of_its_own(rng):
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Written()

        def forward(self, x):
            return self.inner(x)

    x, dy = rng.integers(0, 20, (5, 3)), rng.standard_normal((5, 12)).astype(np.float32)
    inner = Written()
    inner(x)
    inner.backward(dy)
    assert inner.table.weight.grad.any()
    assert type(Around()(x)) is np.ndarray
