"""torch.autograd of the compat layer beside PyTorch's: the same script in both, the same numbers."""

import inspect

import numpy as np
import pytest

import fastnn.compat.torch as own

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def leaves(torch, *shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [torch.tensor(generator.standard_normal(shape), requires_grad=True) for shape in shapes]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return np.asarray(value.detach().numpy()) if hasattr(value, "detach") else value


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(ours, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    else:
        assert ours == theirs


def function(torch):
    """An operation of a script: several results, an argument without gradient, a broadcast."""

    class Blend(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b, share):
            ctx.save_for_backward(a, b)
            ctx.share = share
            return a * share + b * (1 - share), (a * b).sum()

        @staticmethod
        def backward(ctx, dmix, dsum):
            a, b = ctx.saved_tensors
            return ctx.share * dmix + dsum * b, (1 - ctx.share) * dmix + dsum * a, None

    return Blend


# ---- scripts: each is run with both libraries ------------------------------------------------------------------------
def grad_of_several(torch):
    x, y = leaves(torch, (3, 4), (4,))
    h = x * y
    outputs = [h.sum(1), (h.sigmoid() * x).sum()]
    weights = torch.tensor(np.linspace(-1, 1, 3))
    return torch.autograd.grad(outputs, [x, y, h], grad_outputs=[weights, None])


def grad_unused(torch):
    x, y = leaves(torch, (3,), (2,))
    return [
        torch.autograd.grad((x**3).sum(), (x, y), allow_unused=True),
        torch.autograd.grad((x**3).sum(), (x, y), materialize_grads=True),
    ]


def grad_retained(torch):
    (x,) = leaves(torch, (3,))
    y = x.exp()
    return [torch.autograd.grad(y[i], x, retain_graph=True)[0] for i in range(3)]


def backward_of_several(torch):
    x, y = leaves(torch, (3,), (3,))
    torch.autograd.backward([x * y, (x / y).sum()], [torch.tensor([1.0, 2.0, 3.0]).double(), None])
    torch.autograd.backward((x * x).sum(), inputs=[x])
    return [x.grad, y.grad]


def own_function(torch):
    a, b = leaves(torch, (3, 2), (3, 2))
    mix, total = function(torch).apply(a, b, 0.3)
    (mix.pow(2).sum() * total).backward()
    return [mix, total, a.grad, b.grad]


def own_function_twice(torch):
    a, b = leaves(torch, (2,), (2,))
    blend = function(torch).apply
    mix, total = blend(*blend(a, b, 0.5)[:1], b, 0.25)
    (mix.sum() + total).backward()
    return [a.grad, b.grad]


def own_function_of_frozen(torch):
    a, b = leaves(torch, (2,), (2,))
    mix, total = function(torch).apply(a, b.detach(), 0.5)
    (mix.sum() + total).backward()
    return [a.grad, mix.requires_grad, b.grad]


def straight_through(torch):
    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.sign(x)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            dx = dy.clone()
            dx[x.abs() > 1] = 0
            return dx

    (x,) = leaves(torch, (20,))
    y = Sign.apply(x)
    (y * torch.arange(20).double()).sum().backward()
    return [y, x.grad]


def hooked(torch):
    (x,) = leaves(torch, (3,))
    seen = []
    h = x * 2
    h.register_hook(seen.append)
    h.register_hook(lambda gradient: gradient.clamp(-1, 1))
    x.register_hook(lambda gradient: gradient * 0.5)
    h.retain_grad()
    (h**2).sum().backward()
    return [x.grad, h.grad, seen[0]]


def detached(torch):
    (x,) = leaves(torch, (3,))
    y = x * x.detach()
    y.sum().backward()
    with torch.no_grad():
        z = x * 2
    w = z.clone().requires_grad_()
    (w * 3).sum().backward()
    return [x.grad, z.requires_grad, w.grad]


def modes(torch):
    (x,) = leaves(torch, (3,))
    found = []
    with torch.no_grad():
        found.append((x * 2).requires_grad)
        with torch.enable_grad():
            found.append((x * 2).requires_grad)
        found.append(torch.zeros(2, requires_grad=True).requires_grad)
    with torch.inference_mode():
        found += [(x * 2).requires_grad, torch.is_inference_mode_enabled(), torch.is_grad_enabled()]
    with torch.set_grad_enabled(False):
        found += [torch.is_grad_enabled()]

    @torch.no_grad()
    def double(x):
        """Twice x."""
        return (x * 2).requires_grad

    found += [torch.is_grad_enabled(), double(x), double.__name__, double.__doc__]

    @torch.set_grad_enabled(False)
    def triple(x):
        return (x * 3).requires_grad

    found += [torch.is_grad_enabled(), triple(x), torch.is_grad_enabled()]
    return found


def jacobians(torch):
    a, b = leaves(torch, (3,), (2,))
    of = torch.autograd.functional

    def several(a, b):
        return a.outer(b), (a**2).sum()

    return [
        of.jacobian(lambda t: t.exp() * t.sum(), a),
        of.jacobian(several, (a, b)),
        of.vjp(lambda t: t.exp(), a, b[0].expand(3)),
        of.vjp(several, (a, b), (torch.ones(3, 2).double(), torch.tensor(2.0).double())),
        of.vjp(lambda t: (t**3).sum(), a),
    ]


def checked(torch):
    (x,) = leaves(torch, (3,))
    blend = function(torch).apply

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.exp()

        @staticmethod
        def backward(ctx, dy):
            return dy

    check = torch.autograd.gradcheck
    return [
        check(lambda t: t.sin() * t.sum(), (x,)),
        check(lambda t: blend(t, t * 2, 0.3), x),
        check(Wrong.apply, (x,), raise_exception=False),
    ]


def saliency(torch):
    """Gradients with respect to an image, as scripts of explanations take them."""
    x, w = leaves(torch, (2, 5), (5, 3))
    logits = x @ w
    logits[0, logits[0].argmax()].backward()
    return [x.grad, x.grad.abs().max(dim=1)[0]]


def descent_by_hand(torch):
    w, x = leaves(torch, (4, 1), (8, 4))
    y = x.detach() @ torch.ones(4, 1).double()
    for _ in range(5):
        loss = ((x.detach() @ w - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
    w.data = w.data - 0.1
    return [w, w.grad, loss]


SCRIPTS = [
    grad_of_several,
    grad_unused,
    grad_retained,
    backward_of_several,
    own_function,
    own_function_twice,
    own_function_of_frozen,
    straight_through,
    hooked,
    detached,
    modes,
    jacobians,
    checked,
    saliency,
    descent_by_hand,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_gives_the_same_numbers(torch, script):
    assert_same(plain(script(own)), plain(script(torch)))


# ---- errors ----------------------------------------------------------------------------------------------------------
ERRORS = {
    "not a scalar": lambda torch: torch.autograd.grad(leaves(torch, (2,))[0] * 2, leaves(torch, (2,))),
    "no gradient": lambda torch: torch.autograd.backward(torch.ones(1)),
    "unused": lambda torch: torch.autograd.grad(leaves(torch, ())[0] * 2, leaves(torch, (2,))),
    "unknown shape": lambda torch: torch.autograd.backward(leaves(torch, (2,))[0] * 2, torch.ones(3).double()),
    "twice": lambda torch: [y.backward() for y in [leaves(torch, (2,))[0].exp().sum()] * 2],
    "numpy": lambda torch: leaves(torch, (2,))[0].numpy(),
    "in place": lambda torch: leaves(torch, (2,))[0].add_(1),
    "not float64": lambda torch: torch.autograd.gradcheck(lambda t: t, torch.ones(1)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_of_the_same_kind(torch, name):
    kinds = []
    for library in (own, torch):
        with pytest.raises(Exception) as error:  # noqa: PT011, the kinds are compared
            ERRORS[name](library)
        kinds.append(error.type)
    assert kinds[0] is kinds[1]


# ---- what there is ---------------------------------------------------------------------------------------------------
MODULES = ("autograd", "autograd.functional", "autograd.function", "autograd.grad_mode", "autograd.anomaly_mode")
# What has no meaning here, or no place in a layer without second derivatives.
ABSENT = {
    "autograd": {
        "NestedIOFunction",
        "forward_ad",
        "graph",
        "gradgradcheck",
        "inplacefunction",
        "enforce_grad_layout_policy",
        "set_multithreading_enabled",
        "variable",
    },
    "autograd.functional": {"hessian", "hvp", "vhp", "jvp", "Tensor"},
    "autograd.function": {"InplaceFunction", "NestedIOFunction", "BackwardCFunction", "FunctionMeta", "traceable"},
    "autograd.grad_mode": {"set_multithreading_enabled", "enforce_grad_layout_policy"},
    "autograd.anomaly_mode": set(),
}

# These wrap what they are called with, or are written in C.
WITHOUT_SIGNATURE = {"no_grad", "enable_grad", "inference_mode", "Variable"}


def module_of(library, path):
    for part in path.split("."):
        library = getattr(library, part)
    return library


@pytest.mark.parametrize("path", MODULES)
def test_every_public_name_is_there_with_pytorchs_arguments(torch, path):
    ours, theirs = module_of(own, path), module_of(torch, path)
    for name in theirs.__all__ if hasattr(theirs, "__all__") else vars(theirs):
        value = getattr(theirs, name)
        is_its_own = getattr(value, "__module__", "").startswith("torch.autograd")
        if name.startswith("_") or not is_its_own or name in ABSENT[path]:
            continue
        mine = getattr(ours, name)
        if name in WITHOUT_SIGNATURE:
            continue
        if inspect.isfunction(value) or inspect.isclass(value):
            assert arguments(mine) == arguments(value), name


def arguments(function):
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default, p.kind) for p in parameters]


@pytest.mark.parametrize("name", ["apply", "forward", "backward", "setup_context", "vjp"])
def test_a_function_has_pytorchs_methods(torch, name):
    assert callable(getattr(own.autograd.Function, name))
    assert callable(getattr(torch.autograd.Function, name))


def test_a_context_has_pytorchs_methods(torch):
    theirs = {name for name in dir(torch.autograd.function.FunctionCtx) if name[0] != "_"}
    assert theirs - {"save_for_forward", "mark_shared_storage"} <= set(dir(own.autograd.function.FunctionCtx))
