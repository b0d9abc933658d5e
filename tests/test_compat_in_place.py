"""Writing into tensors of fastnn.compat.torch: recorded ones, their views, leaves, data."""

import copy
import gc

import numpy as np
import pytest
from compat_in_place import PROGRAMS

import fastnn
import fastnn.compat.torch as torch


def _leaf(seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((3, 4)))
    return x.requires_grad_()


def _loss(program, array):
    with fastnn.no_grad():
        return program(torch, torch.from_numpy(array.copy())).item()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_gradients_of_programs_that_write_in_place_are_the_numeric_ones(program):
    x = _leaf()
    loss = program(torch, x)
    loss.backward()
    eps = 1e-6
    for place in np.ndindex(3, 4):
        up, down = x.detach().numpy().copy(), x.detach().numpy().copy()
        up[place] += eps
        down[place] -= eps
        numeric = (_loss(program, up) - _loss(program, down)) / (2 * eps)
        assert x.grad[place].item() == pytest.approx(numeric, rel=1e-5, abs=1e-7)
    assert loss.item() == pytest.approx(_loss(program, x.detach().numpy()), rel=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_programs_that_write_in_place_have_the_gradients_of_pytorch(program):
    import torch as theirs

    array = np.random.default_rng(1).standard_normal((3, 4))
    found = []
    for library in (torch, theirs):
        x = library.from_numpy(array.copy()).requires_grad_()
        loss = program(library, x)
        loss.backward()
        found.append((loss.item(), x.grad.numpy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)


def test_a_leaf_that_requires_a_gradient_is_not_written_into():
    x = _leaf()
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), lambda: x[0].mul_(2)):
        with pytest.raises(RuntimeError, match="leaf"):
            write()
    with fastnn.no_grad():
        x -= 1
        x[0] = 7
    assert x[0].tolist() == [7.0] * 4
    assert x.is_leaf
    assert x.requires_grad


def test_data_and_grad_share_memory_with_the_tensor():
    x = _leaf()
    before = x.detach().numpy().copy()
    x.data.mul_(2)
    x.data += 1
    np.testing.assert_array_equal(x.detach().numpy(), before * 2 + 1)
    (x * 3).sum().backward()
    x.grad.mul_(2)
    x.grad.data.add_(1)
    assert x.grad.unique().tolist() == [7.0]
    x.grad.zero_()
    assert not x.grad.any()
    x.grad = None
    assert x.grad is None


def test_views_of_plain_tensors_share_their_memory():
    a = torch.ones(3)
    a.view(3, 1).add_(1)
    a.detach()[0] = 9
    a[1:] *= 3
    assert a.tolist() == [9.0, 6.0, 6.0]
    array = np.zeros(2)
    torch.from_numpy(array)[0] = 5
    assert array.tolist() == [5, 0]


def test_writing_into_a_detached_result_says_to_clone():
    y = _leaf() * 2
    with pytest.raises(RuntimeError, match=r"clone\(\)"):
        y.detach().add_(1)


def test_a_kept_tensor_that_was_written_into_before_backward_is_an_error():
    x, a = _leaf(), torch.ones(3, 4, dtype=torch.float64)
    loss = (x * a).sum()
    a.add_(1)
    with pytest.raises(RuntimeError, match="written into"):
        loss.backward()


def test_integers_do_not_become_floats_in_place():
    a = torch.arange(3)
    with pytest.raises(RuntimeError, match="can't be cast"):
        a += 1.5
    with pytest.raises(RuntimeError, match="broadcast shape"):
        a.add_(torch.ones(2, 3, dtype=torch.int64))
    assert a.tolist() == [0, 1, 2]


def test_hooks_are_called_in_their_order_and_can_be_removed():
    x = _leaf()
    y = x * 2
    seen = []
    first = y.register_hook(lambda gradient: seen.append(gradient.clone()))
    y.register_hook(lambda gradient: gradient * 10)
    y.sum().backward()
    assert seen[0].unique().tolist() == [1.0]
    assert x.grad.unique().tolist() == [20.0]
    first.remove()
    y = x * 1
    y.retain_grad()
    (y * 3).sum().backward()
    assert y.grad.unique().tolist() == [3.0]
    assert len(seen) == 1
    x.grad = None
    x.register_hook(lambda gradient: gradient * 0.5)
    x.sum().backward()
    assert x.grad.unique().tolist() == [0.5]


def test_views_that_are_gone_are_forgotten_by_their_base():
    w = _leaf()
    for _ in range(100):
        w.view(-1)
    assert len(w._views) <= 17


def test_nothing_waits_for_the_garbage_collector():
    gc.disable()
    try:
        x = _leaf()
        y = x * 2
        y[0].add_(1)
        import weakref

        seen = weakref.ref(y)
        del y
        assert seen() is None
    finally:
        gc.enable()


def test_copies_are_deep():
    x = _leaf()
    y = copy.deepcopy(x)
    y.data.zero_()
    assert y.requires_grad
    assert x.detach().any()
    assert not y.detach().any()
