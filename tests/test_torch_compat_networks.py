"""Networks as people write them, trained from the same weights: the same losses, weights and predictions."""

import copy

import numpy as np
import pytest
from compat_networks import NETWORKS

import fastnn.compat.torch as own

pytestmark = pytest.mark.torch

STEPS = 4


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def batches(shape, places, classes):
    rng = np.random.default_rng(5)
    for _ in range(STEPS):
        images = rng.normal(size=(8, *shape)).astype(np.float32)
        yield images, rng.integers(0, classes, (8, *places))


def trained(torch, net, sizes, optimizer, dtype=np.float32):
    """The losses of some steps, and the predictions after them."""
    criterion = torch.nn.CrossEntropyLoss()
    losses = []
    net.train()
    for images, labels in batches(*sizes):
        x, y = torch.from_numpy(images.astype(dtype)), torch.from_numpy(labels)
        optimizer.zero_grad()
        output = net(x)
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        return losses, net(x).numpy()


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_as_in_pytorch(torch, name, kind):
    network, shape, places = NETWORKS[name]
    theirs, ours = network(torch), network(own)
    assert repr(ours) == repr(theirs)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    ours.load_state_dict({key: own.from_numpy(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    # Adam divides gradients by their size; of a bias before a batch norm that is the size of rounding.
    dtype, tolerance = (np.float32, 2e-3) if kind == "sgd" else (np.float64, 1e-6)
    classes, results = 2 if places else 10, []
    for library, net in ((torch, theirs), (own, ours)):
        if kind == "sgd":
            optimizer = library.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        else:
            optimizer = library.optim.Adam(net.double().parameters(), lr=1e-3)
        results.append(trained(library, net, (shape, places, classes), optimizer, dtype))
    (expected, right), (found, predictions) = results
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    np.testing.assert_allclose(predictions, right, atol=3 * tolerance * np.abs(right).max())
    for key, value in theirs.state_dict().items():
        largest = max(value.abs().max().item(), 1e-3)
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), atol=tolerance * largest, err_msg=key)


@pytest.mark.parametrize("name", NETWORKS)
def test_double_precision_gives_the_gradients_of_pytorch(torch, name):
    network, shape, places = NETWORKS[name]
    theirs, ours = network(torch).double(), network(own).double()
    ours.load_state_dict({key: own.from_numpy(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    images, labels = next(batches(shape, places, 2))
    gradients = []
    for library, net in ((torch, theirs), (own, ours)):
        x = library.from_numpy(images.astype(np.float64)).requires_grad_()
        library.nn.functional.cross_entropy(net(x), library.from_numpy(labels)).backward()
        gradients.append([("input", x.grad.numpy()), *((key, p.grad.numpy()) for key, p in net.named_parameters())])
    for (key, right), (_, found) in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-9, err_msg=key)


def test_the_best_state_is_kept_by_a_deep_copy_and_loaded_again():
    network, shape, places = NETWORKS["lenet"]
    net = network(own)
    x = own.from_numpy(next(batches(shape, places, 10))[0])
    best, before = copy.deepcopy(net.state_dict()), net(x).detach().clone()
    trained(own, net, (shape, places, 10), own.optim.SGD(net.parameters(), lr=0.1))
    assert not own.equal(net(x), before)
    net.load_state_dict(best)
    assert own.equal(net(x), before)
