"""torch.autograd of the compat layer: what scripts do with gradients, modes and operations of their own."""

import numpy as np
import pytest

import fastnn.compat.torch as torch
from fastnn.compat import notes
from fastnn.compat.torch.autograd.gradcheck import GradcheckError


def leaf(*values, dtype=None):
    return torch.tensor(values, dtype=dtype or torch.float64, requires_grad=True)


# ---- grad and backward -----------------------------------------------------------------------------------------------
def test_grad_gives_gradients_and_changes_no_leaf():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dx, dy = torch.autograd.grad((x * y).sum(), [x, y])
    assert dx.tolist() == [3, 4]
    assert dy.tolist() == [1, 2]
    assert x.grad is None
    assert not dx.requires_grad


def test_grad_takes_results_on_the_way_and_weights_for_each_output():
    x = leaf(1.0, 2.0)
    h = x * x
    outputs = [h * 3, h.sum()]
    (dh,) = torch.autograd.grad(outputs, h, grad_outputs=[torch.tensor([1.0, 10.0]).double(), None])
    assert dh.tolist() == [4, 31]


def test_grad_of_named_inputs_is_named():
    x, y = leaf(1.0), leaf(2.0)
    found = torch.autograd.grad((x * y).sum(), {"x": x, "y": y})
    assert {name: gradient.item() for name, gradient in found.items()} == {"x": 2, "y": 1}


def test_an_unused_input_is_an_error_or_none_or_zeros():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match="allow_unused"):
        torch.autograd.grad(x.sum(), [x, y])
    assert torch.autograd.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    assert torch.autograd.grad(x.sum(), [x, y], materialize_grads=True)[1].tolist() == [0]


def test_what_was_recorded_goes_unless_it_is_retained():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    torch.autograd.grad(y, x, retain_graph=True)
    torch.autograd.grad(y, x)
    with pytest.raises(RuntimeError, match="retain_graph"):
        torch.autograd.grad(y, x)


def test_second_derivatives_are_refused():
    x = leaf(1.0)
    for call in (
        lambda: torch.autograd.grad((x * x).sum(), x, create_graph=True),
        lambda: torch.autograd.backward((x * x).sum(), create_graph=True),
        lambda: (x * x).sum().backward(create_graph=True),
        lambda: torch.autograd.functional.jacobian(lambda t: t * t, x, create_graph=True),
    ):
        with pytest.raises(RuntimeError, match="no second derivatives"):
            call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: torch.autograd.grad(x * x, x), "scalar outputs"),
        (lambda x: torch.autograd.grad(torch.ones(1), x), "does not require grad"),
        (lambda x: torch.autograd.grad((x * x).sum(), torch.ones(1)), "does not require grad"),
        (lambda x: torch.autograd.grad(x * x, x, torch.ones(3)), "Mismatch in shape"),
        (lambda x: torch.autograd.grad([x * x], [x], [torch.ones(2)] * 2), "1 tensors and 2 gradients"),
        (lambda x: torch.autograd.grad(x * x, x, torch.ones(2), is_grads_batched=True), "call grad once for each"),
        (lambda x: torch.autograd.backward(x.sum(), inputs=[]), "inputs cannot be empty"),
    ],
)
def test_what_has_no_gradient_is_refused(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(leaf(1.0, 2.0))


def test_backward_of_several_results_adds_up():
    x, y = leaf(1.0, 2.0), leaf(3.0)
    torch.autograd.backward([x * y, x.sum()], [torch.ones(2).double(), None])
    torch.autograd.backward(x.sum())
    assert x.grad.tolist() == [5, 5]
    assert y.grad.tolist() == [3]


def test_backward_to_some_inputs_leaves_the_others():
    x, y = leaf(1.0), leaf(2.0)
    torch.autograd.backward((x * y).sum(), inputs=[x])
    assert x.grad.tolist() == [2]
    assert y.grad is None


# ---- functions of a script -------------------------------------------------------------------------------------------
class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, kind="plain"):
        ctx.factor = factor
        ctx.save_for_backward(x)
        return x * factor

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        assert ctx.needs_input_grad == (True, False)
        assert not dy.requires_grad
        return dy * ctx.factor + 0 * x, None


def test_a_function_of_a_script_has_its_own_gradient():
    x = leaf(1.0, 2.0)
    y = Scale.apply(x, 3)
    assert y.tolist() == [3, 6]
    assert y.requires_grad
    assert type(y.grad_fn).__name__ == "ScaleBackward"
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_nothing_is_recorded_where_no_gradient_is_wanted():
    assert not Scale.apply(torch.ones(2), 3).requires_grad
    with torch.no_grad():
        assert not Scale.apply(leaf(1.0), 3).requires_grad


def test_a_function_with_several_results_and_flat_ones():
    class Parts(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            above = x > 0
            ctx.mark_non_differentiable(above)
            ctx.save_for_backward(x)
            return x * 2, above, x**2

        @staticmethod
        def backward(ctx, da, dabove, db):
            (x,) = ctx.saved_tensors
            return da * 2 + db * 2 * x

    x = leaf(-1.0, 2.0)
    a, above, b = Parts.apply(x)
    assert above.tolist() == [False, True]
    assert not above.requires_grad
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [0, 6]


def test_a_function_with_setup_context_and_vjp():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0], output)

        @staticmethod
        def vjp(ctx, dy):
            x, y = ctx.saved_tensors
            assert y.tolist() == [8]
            return 3 * x**2 * dy

    x = leaf(2.0)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [12]


def test_a_function_that_writes_into_its_input():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = leaf(1.0, 3.0)
    h = x * 1
    y = Double.apply(h)
    assert y is h
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_wrong_number_of_gradients_is_refused():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, dy):
            return dy

    a, b = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        Wrong.apply(a, b).sum().backward()


def test_functions_are_applied_and_not_called():
    with pytest.raises(RuntimeError, match=r"call Scale.apply"):
        Scale()
    with pytest.raises(NotImplementedError, match="static method forward"):
        type("Nothing", (torch.autograd.Function,), {}).apply(leaf(1.0))
    with pytest.raises(TypeError, match="can only save variables"):
        torch.autograd.function.FunctionCtx().save_for_backward(3)


# ---- modes -----------------------------------------------------------------------------------------------------------
def test_modes_hold_in_blocks_functions_and_generators():
    @torch.no_grad()
    def evaluate():
        return torch.is_grad_enabled()

    @torch.no_grad
    def plain():
        return torch.is_grad_enabled()

    @torch.enable_grad()
    def learn():
        return torch.is_grad_enabled()

    @torch.no_grad()
    def batches():
        for _ in range(2):
            yield torch.is_grad_enabled()

    assert not evaluate()
    assert not plain()
    with torch.no_grad():
        assert learn()
        with torch.set_grad_enabled(True):
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    for inside in batches():
        assert not inside
        assert torch.is_grad_enabled()
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    with torch.inference_mode(False):
        assert torch.is_grad_enabled()


def test_a_mode_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        raise ZeroDivisionError
    assert torch.is_grad_enabled()


def test_set_grad_enabled_is_a_switch():
    torch.set_grad_enabled(False)
    try:
        assert not (leaf(1.0) * 2).requires_grad
    finally:
        torch.set_grad_enabled(True)
    assert (leaf(1.0) * 2).requires_grad


# ---- checks ----------------------------------------------------------------------------------------------------------
def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    x = leaf(1.0, 2.0)
    assert torch.autograd.gradcheck(lambda t: (t * 2).sin(), (x,))
    with pytest.raises(GradcheckError, match="element 0 of result 0"):
        torch.autograd.gradcheck(Wrong.apply, (x,))
    assert not torch.autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(ValueError, match="to require gradient"):
        torch.autograd.gradcheck(lambda t: t, torch.ones(1))
    with pytest.raises(RuntimeError, match="check_backward_ad alone"):
        torch.autograd.gradcheck(lambda t: t, x, check_forward_ad=True)


def test_jacobian_and_vjp_of_several_results_and_inputs():
    def function(a, b):
        return a * b.sum(), a**2

    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0])
    ((by_a, by_b), (square_by_a, square_by_b)) = torch.autograd.functional.jacobian(function, (a, b))
    assert by_a.tolist() == [[12, 0], [0, 12]]
    assert by_b.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert square_by_a.tolist() == [[2, 0], [0, 4]]
    assert square_by_b.tolist() == [[0, 0, 0], [0, 0, 0]]
    value, gradient = torch.autograd.functional.vjp(lambda t: t**3, a, torch.tensor([1.0, 10.0]))
    assert value.tolist() == [1, 8]
    assert gradient.tolist() == [3, 120]
    with pytest.raises(RuntimeError, match="vector v"):
        torch.autograd.functional.vjp(lambda t: t, a)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_anomalies_end_a_backward_where_they_begin():
    x = leaf(0.0)
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values in its 0th output"):
        (x * 0).sqrt().mul(0).sum().backward()
    assert not torch.is_anomaly_enabled()
    (x * 0).sqrt().mul(0).sum().backward()
    torch.autograd.set_detect_anomaly(True)
    assert torch.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(False)
    with torch.autograd.set_detect_anomaly(True):
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()


# ---- names of old ----------------------------------------------------------------------------------------------------
def test_a_variable_is_a_tensor_that_shares_memory():
    x = torch.ones(2)
    v = torch.autograd.Variable(x, requires_grad=True)
    assert isinstance(v, torch.autograd.Variable)
    assert isinstance(v, torch.Tensor)
    assert v.requires_grad
    assert not x.requires_grad
    v.data.add_(1)
    assert x.tolist() == [2, 2]
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        torch.autograd.Variable([1.0])


def test_volatile_of_old_is_noted(capsys, monkeypatch):
    monkeypatch.setattr(notes, "_said", [])
    torch.autograd.Variable(torch.ones(1), volatile=True)
    assert "torch.no_grad()" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (torch.autograd, "gradgradcheck"),
        (torch.autograd.functional, "hessian"),
        (torch.autograd.functional, "jvp"),
        (torch.autograd.profiler, "profile"),
    ],
)
def test_what_is_missing_says_what_to_use(module, name):
    with pytest.raises(AttributeError, match=rf"{name} is not in fastnn: \w"):
        getattr(module, name)


def test_hooks_see_and_change_gradients():
    x = leaf(1.0, 2.0)
    h = x * 2
    seen = []
    h.register_hook(lambda gradient: seen.append(gradient.tolist()))
    handle = x.register_hook(lambda gradient: gradient * 10)
    (h * 3).sum().backward()
    assert seen == [[3, 3]]
    assert x.grad.tolist() == [60, 60]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]
    np.testing.assert_array_equal(x.detach().numpy(), [1, 2])


def test_grad_fn_leads_to_the_leaves():
    w = torch.ones(2, requires_grad=True)
    y = (w * 2).sum()
    assert y.grad_fn == y.grad_fn
    assert repr(y.grad_fn).startswith("<SumBackward0 object at 0x")
    (product, number), *_ = y.grad_fn.next_functions
    assert number == 0
    leaf = next(found for found, _ in product.next_functions if found is not None)
    assert leaf.variable is w
    assert leaf.next_functions == ()
    assert w.grad_fn is None


def test_first_of_a_number_says_how_to_read_it():
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        torch.tensor(1.0)[0]


def test_randint_takes_its_size_by_name():
    assert torch.randint(9, size=(3,)).shape == (3,)
    assert torch.randint(2, 9, (3,)).min() >= 2
    assert torch.randint(high=4, size=(2, 2)).max() < 4
    with pytest.raises(TypeError, match="size"):
        torch.randint(9)
