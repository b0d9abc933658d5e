"""torch.distributions of the compat layer beside PyTorch's: densities, gradients, moments of samples, texts, errors."""

import inspect

import numpy as np
import pytest

import fastnn.compat.torch as own

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def numbers(*shape, low=0.2, high=2.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


def signed(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def simplex(*shape, seed=0):
    x = numbers(*shape, seed=seed)
    return x / x.sum(-1, keepdims=True)


def definite(n):
    a = signed(n, n)
    return a @ a.T + n * np.eye(n)


REAL, POSITIVE, UNIT = signed(5, 3, seed=1), numbers(5, 3, seed=1), numbers(5, 3, low=0.05, high=0.95, seed=1)
COUNTS = np.random.default_rng(1).integers(0, 4, (5, 3)).astype(float)
ONES = np.eye(4)[np.random.default_rng(1).integers(0, 4, (5, 3))]
# A distribution -> ways to make it from arrays, and values to ask for.
CASES = {
    "Normal": [(lambda d, a, b: d.Normal(a, b), [signed(3), numbers(3)], REAL)],
    "Uniform": [(lambda d, a, b: d.Uniform(a, b), [np.full(3, -3.0), numbers(3) + 3], REAL)],
    "Exponential": [(lambda d, a: d.Exponential(a), [numbers(3)], POSITIVE)],
    "Laplace": [(lambda d, a, b: d.Laplace(a, b), [signed(3), numbers(3)], REAL)],
    "LogNormal": [(lambda d, a, b: d.LogNormal(a, b), [signed(3), numbers(3) / 3], POSITIVE)],
    "Gamma": [(lambda d, a, b: d.Gamma(a, b), [numbers(3), numbers(3, seed=2)], POSITIVE)],
    "Beta": [(lambda d, a, b: d.Beta(a, b), [numbers(3), numbers(3, seed=2)], UNIT)],
    "Dirichlet": [(lambda d, a: d.Dirichlet(a), [numbers(3, 4)], simplex(5, 3, 4, seed=1))],
    "Poisson": [(lambda d, a: d.Poisson(a), [numbers(3)], COUNTS)],
    "Geometric": [
        (lambda d, a: d.Geometric(a), [simplex(3)], COUNTS),
        (lambda d, a: d.Geometric(logits=a), [signed(3)], COUNTS),
    ],
    "Bernoulli": [
        (lambda d, a: d.Bernoulli(a), [simplex(3)], COUNTS.clip(0, 1)),
        (lambda d, a: d.Bernoulli(logits=a), [signed(3)], COUNTS.clip(0, 1)),
    ],
    "Categorical": [
        (lambda d, a: d.Categorical(a), [numbers(3, 4)], COUNTS),
        (lambda d, a: d.Categorical(logits=a), [signed(3, 4)], COUNTS),
        (lambda d, a: d.Categorical(logits=a), [signed(4)], COUNTS),
    ],
    "OneHotCategorical": [
        (lambda d, a: d.OneHotCategorical(a), [numbers(3, 4)], ONES),
        (lambda d, a: d.OneHotCategorical(logits=a), [signed(3, 4)], ONES),
    ],
    "OneHotCategoricalStraightThrough": [
        (lambda d, a: d.OneHotCategoricalStraightThrough(a), [numbers(3, 4)], ONES),
    ],
    "MultivariateNormal": [
        (lambda d, a, b: d.MultivariateNormal(a, b.detach()), [signed(5, 3), definite(3)], REAL),
        (lambda d, a, b: d.MultivariateNormal(a, precision_matrix=b.detach()), [signed(3), definite(3)], REAL),
        (lambda d, a, b: d.MultivariateNormal(a, scale_tril=b.detach().tril()), [signed(3), definite(3)], REAL),
    ],
    "Independent": [
        (lambda d, a, b: d.Independent(d.Normal(a, b), 1), [signed(5, 3), numbers(3)], REAL),
        (lambda d, a, b: d.Independent(d.Laplace(a, b), 2), [signed(5, 3), numbers(3)], REAL),
        (lambda d, a: d.Independent(d.Categorical(logits=a), 1), [signed(3, 4)], COUNTS),
    ],
    "TransformedDistribution": [
        (lambda d, a, b: d.TransformedDistribution(d.Normal(a, b), [d.TanhTransform()]), [signed(3), numbers(3)], UNIT),
        (
            lambda d, a, b: d.TransformedDistribution(d.Normal(a, b), [d.AffineTransform(a, b), d.SigmoidTransform()]),
            [signed(3), numbers(3)],
            UNIT,
        ),
        (
            lambda d, a, b: d.TransformedDistribution(
                d.Normal(a, b), d.ComposeTransform([d.SoftplusTransform(), d.AffineTransform(0.0, -2.0)])
            ),
            [signed(3), numbers(3)],
            -POSITIVE,
        ),
        (
            lambda d, a, b: d.TransformedDistribution(
                d.Normal(a, b), [d.ExpTransform().inv.inv, d.SigmoidTransform().inv]
            ),
            [signed(3), numbers(3)],
            REAL,
        ),
        (
            lambda d, a, b: d.TransformedDistribution(
                d.Independent(d.Normal(a, b), 1), d.AffineTransform(1.0, 3.0, event_dim=1)
            ),
            [signed(5, 3), numbers(3)],
            REAL,
        ),
    ],
    "MixtureSameFamily": [
        (
            lambda d, w, a, b: d.MixtureSameFamily(d.Categorical(w), d.Normal(a, b)),
            [numbers(3, 4), signed(3, 4), numbers(3, 4)],
            REAL,
        ),
        (
            lambda d, w, a, b: d.MixtureSameFamily(d.Categorical(logits=w), d.Independent(d.Normal(a, b), 1)),
            [signed(4), signed(4, 3), numbers(4, 3)],
            REAL,
        ),
    ],
}
ALL = [(name, number) for name, cases in CASES.items() for number in range(len(cases))]


def made(library, name, number, *, dtype=None, requires_grad=False):
    make, arrays, value = CASES[name][number]
    tensors = [library.tensor(array, dtype=dtype, requires_grad=requires_grad) for array in arrays]
    return make(library.distributions, *tensors), tensors, library.tensor(value, dtype=dtype)


def outcome(call):
    """An array, or that there is none."""
    try:
        found = call()
    except NotImplementedError:
        return None
    return found.detach().numpy()


def assert_close(ours, theirs, what):
    if theirs is None or ours is None:
        assert ours is None or theirs is not None, what
        return
    assert ours.shape == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10, err_msg=str(what))


# What PyTorch has and these have not; each raises NotImplementedError.
WITHOUT = {("Dirichlet", "mode"), ("Beta", "mode"), ("Gamma", "cdf")}


@pytest.mark.parametrize(("name", "number"), ALL)
def test_a_distribution_has_pytorchs_numbers(torch, name, number):
    (ours, _, value), (theirs, _, other) = (made(library, name, number) for library in (own, torch))
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample or name in ("Gamma", "Beta", "Dirichlet")
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    assert_close(outcome(lambda: ours.log_prob(value)), outcome(lambda: theirs.log_prob(other)), "log_prob")
    for what in ("mean", "mode", "variance", "stddev"):
        if (name, what) not in WITHOUT:
            pair = [outcome(lambda d=d, what=what: getattr(d, what)) for d in (ours, theirs)]
            assert_close(*pair, what)
            assert (pair[0] is None) == (pair[1] is None), what
    for what in ("entropy", "perplexity", "enumerate_support"):
        pair = [outcome(lambda d=d, what=what: getattr(d, what)()) for d in (ours, theirs)]
        assert_close(*pair, what)
        assert (pair[0] is None) == (pair[1] is None), what
    if (name, "cdf") not in WITHOUT:
        pair = [outcome(lambda d=d, x=x: d.cdf(x)) for d, x in ((ours, value), (theirs, other))]
        assert_close(*pair, "cdf")
        assert (pair[0] is None) == (pair[1] is None)
    share = [library.tensor(UNIT) for library in (own, torch)]
    pair = [outcome(lambda d=d, x=x: d.icdf(x)) for d, x in zip((ours, theirs), share, strict=True)]
    assert_close(*pair, "icdf")
    assert (pair[0] is None) == (pair[1] is None)
    for what in ("probs", "logits", "loc", "scale", "rate", "covariance_matrix", "precision_matrix"):
        assert hasattr(ours, what) == hasattr(theirs, what), what
        if hasattr(theirs, what):
            assert_close(getattr(ours, what).detach().numpy(), getattr(theirs, what).numpy(), what)


@pytest.mark.parametrize(("name", "number"), ALL)
def test_gradients_of_densities_and_entropies_are_pytorchs(torch, name, number):
    found = []
    for library in (own, torch):
        distribution, parameters, value = made(library, name, number, requires_grad=True)
        total = distribution.log_prob(value).sum()
        if name not in ("Gamma", "Beta", "Dirichlet", "Poisson", "TransformedDistribution", "MixtureSameFamily"):
            entropy = distribution.entropy()
            if entropy.requires_grad:
                total = total + (entropy**2).sum()
        total.backward()
        found.append([None if x.grad is None else x.grad.numpy() for x in parameters])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, name)


@pytest.mark.parametrize(("name", "number"), ALL)
def test_samples_have_the_right_shape_dtype_and_moments(torch, name, number):
    own.manual_seed(3)
    distribution, _, _ = made(own, name, number, dtype=own.float32)
    theirs, _, _ = made(torch, name, number, dtype=torch.float32)
    x = distribution.sample((20000,))
    other = theirs.sample((2,))
    assert x.shape[1:] == tuple(other.shape[1:])
    assert str(x.dtype) == str(other.dtype)
    assert not x.requires_grad
    assert tuple(distribution.sample().shape) == tuple(theirs.sample().shape)
    assert tuple(distribution.sample_n(3).shape) == (3, *theirs.sample().shape)
    mean = outcome(lambda: theirs.mean)
    if mean is None or np.isnan(mean).any():
        reference = theirs.sample((20000,)).double().numpy()
        mean, std = reference.mean(0), reference.std(0)
    else:
        std = theirs.stddev.numpy()
    # Means of 20000 lie within five standard deviations of a mean.
    tolerance = 5 * np.sqrt(2) * std / np.sqrt(20000) + 1e-6
    assert (np.abs(x.double().numpy().mean(0) - mean) < tolerance).all()
    spread = x.double().numpy().std(0)
    assert (np.abs(spread - std) < 0.15 * std + 1e-6).all()


@pytest.mark.parametrize(("name", "number"), ALL)
def test_samples_with_gradients_have_them(torch, name, number):
    distribution, parameters, _ = made(own, name, number, requires_grad=True)
    if not distribution.has_rsample:
        with pytest.raises(NotImplementedError, match="rsample"):
            distribution.rsample()
        return
    own.manual_seed(3)
    distribution.rsample((4,)).sum().backward()
    assert parameters[0].grad is not None
    assert not distribution.sample().requires_grad


def test_gradients_of_normal_samples_are_those_of_the_formula():
    mean, std = own.zeros(3, requires_grad=True), own.ones(3, requires_grad=True)
    x = own.distributions.Normal(mean, std).rsample((7,))
    x.sum().backward()
    np.testing.assert_allclose(mean.grad.numpy(), 7)
    np.testing.assert_allclose(std.grad.numpy(), x.detach().numpy().sum(0), rtol=1e-6)


@pytest.mark.parametrize(("name", "number"), ALL)
def test_a_distribution_is_repeated_to_a_larger_batch(torch, name, number):
    if name == "MixtureSameFamily":
        with pytest.raises(TypeError):
            made(own, name, number)[0].expand((2, 3))
        return
    ours, theirs = (made(library, name, number)[0] for library in (own, torch))
    shape = (2, *ours.batch_shape)
    a, b = ours.expand(shape), theirs.expand(shape)
    assert tuple(a.batch_shape) == tuple(b.batch_shape) == shape
    assert tuple(a.sample().shape) == tuple(b.sample().shape)
    first = ours.sample()
    assert_close(a.log_prob(first).numpy(), b.log_prob(torch.tensor(first.numpy())).numpy(), "log_prob")


@pytest.mark.parametrize("name", CASES)
def test_a_distribution_prints_like_pytorchs(torch, name):
    if name in ("Beta", "Independent", "TransformedDistribution", "MixtureSameFamily", "OneHotCategorical", "LogNormal",
                "OneHotCategoricalStraightThrough", "MultivariateNormal"):  # fmt: skip
        assert repr(made(own, name, 0)[0]).startswith(name)
        return
    assert repr(made(own, name, 0)[0]) == repr(made(torch, name, 0)[0])


def test_numbers_make_distributions_of_the_default_dtype(torch):
    for library in (own, torch):
        d = library.distributions
        assert repr(d.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
        assert tuple(d.Normal(0.0, 1.0).sample().shape) == ()
        assert d.Bernoulli(0.5).sample((3,)).dtype is library.float32
        assert d.Normal(library.zeros(2).double(), 1.0).sample().dtype is library.float64
        assert round(float(d.Normal(0, 1).log_prob(library.tensor(0.5))), 5) == -1.04394


# ---- divergences -----------------------------------------------------------------------------------------------------
DIVERGENCES = {
    "Normal": lambda d, a, b, c, e: (d.Normal(a, b), d.Normal(c, e)),
    "Laplace": lambda d, a, b, c, e: (d.Laplace(a, b), d.Laplace(c, e)),
    "Exponential": lambda d, a, b, c, e: (d.Exponential(b), d.Exponential(e)),
    "Gamma": lambda d, a, b, c, e: (d.Gamma(b.detach(), e), d.Gamma(e.detach(), b)),
    "Beta": lambda d, a, b, c, e: (d.Beta(b.detach(), e.detach()), d.Beta(e.detach(), e.detach())),
    "Dirichlet": lambda d, a, b, c, e: (d.Dirichlet(b.detach()), d.Dirichlet(e.detach())),
    "Poisson": lambda d, a, b, c, e: (d.Poisson(b), d.Poisson(e)),
    "Geometric": lambda d, a, b, c, e: (d.Geometric(logits=a), d.Geometric(logits=c)),
    "Bernoulli": lambda d, a, b, c, e: (d.Bernoulli(logits=a), d.Bernoulli(logits=c)),
    "Categorical": lambda d, a, b, c, e: (d.Categorical(logits=a), d.Categorical(e)),
    "OneHotCategorical": lambda d, a, b, c, e: (d.OneHotCategorical(logits=a), d.OneHotCategorical(e)),
    "Uniform": lambda d, a, b, c, e: (d.Uniform(a, a + b), d.Uniform(a - e, a + b + e)),
    "Uniform outside": lambda d, a, b, c, e: (d.Uniform(a.detach() - 9, b.detach()), d.Uniform(a, a + e)),
    "LogNormal": lambda d, a, b, c, e: (d.LogNormal(a, b), d.LogNormal(c, e)),
    "Independent": lambda d, a, b, c, e: (d.Independent(d.Normal(a, b), 1), d.Independent(d.Normal(c, e), 1)),
    "TransformedDistribution": lambda d, a, b, c, e: (
        d.TransformedDistribution(d.Normal(a, b), [d.TanhTransform()]),
        d.TransformedDistribution(d.Normal(c, e), [d.TanhTransform()]),
    ),
    "MultivariateNormal": lambda d, a, b, c, e: (
        d.MultivariateNormal(a, scale_tril=_diagonal(b.detach())),
        d.MultivariateNormal(c, scale_tril=_diagonal(e.detach())),
    ),
}


def _diagonal(x):
    return x.unsqueeze(-1) * (x.unsqueeze(-1) * 0 + (x * 0 + 1).diag_embed() if x.dim() > 1 else (x * 0 + 1).diag())


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences_have_pytorchs_numbers_and_gradients(torch, name):
    found = []
    for library in (own, torch):
        parts = [
            library.tensor(array, requires_grad=True)
            for array in (signed(2, 3), numbers(2, 3), signed(2, 3, seed=5), numbers(2, 3, seed=5))
        ]
        y = library.distributions.kl_divergence(*DIVERGENCES[name](library.distributions, *parts))
        if y.requires_grad:
            (y * library.tensor(np.arange(1.0, y.numel() + 1).reshape(tuple(y.shape)))).sum().backward()
        found.append([y.detach().numpy(), *[None if x.grad is None else x.grad.numpy() for x in parts]])
    for ours, theirs in zip(*found, strict=True):
        if ours is None or theirs is None:
            assert not np.any(ours) if theirs is None else not np.any(theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_every_divergence_of_equal_kinds_is_compared():
    kinds = {p.__name__ for p, q in own.distributions.kl._FUNCTIONS if p is q}
    assert kinds <= set(DIVERGENCES)


def test_divergences_of_zeros_are_pytorchs(torch):
    for library in (own, torch):
        d, t = library.distributions, library.tensor
        ps, qs = t([[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]), t([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
        found = d.kl_divergence(d.Categorical(ps), d.Categorical(qs))
        assert [round(x, 4) for x in found.tolist()] == [0.6931, float("inf"), 0.0]
        found = d.kl_divergence(d.Bernoulli(t([0.0, 1.0, 0.5])), d.Bernoulli(t([0.5, 0.5, 0.0])))
        assert [round(x, 4) for x in found.tolist()] == [0.6931, 0.6931, float("inf")]


def test_a_divergence_of_a_script_is_taken(torch):
    for library in (own, torch):
        d = library.distributions

        class Mine(d.Normal):
            pass

        @d.register_kl(Mine, d.Uniform)
        def mine(p, q):
            return p.loc * 0 + 7

        assert d.kl_divergence(Mine(0.0, 1.0), d.Uniform(0.0, 1.0)).item() == 7
        with pytest.raises(NotImplementedError):
            d.kl_divergence(d.Categorical(library.ones(2)), Mine(0.0, 1.0))
    with pytest.raises(TypeError, match="Distribution subclass"):
        own.distributions.register_kl(int, own.distributions.Normal)


# ---- errors ----------------------------------------------------------------------------------------------------------
ERRORS = {
    "a negative scale": lambda t: t.distributions.Normal(t.zeros(2), -t.ones(2)),
    "not a number": lambda t: t.distributions.Normal(t.tensor([float("nan")]), 1.0),
    "no numbers": lambda t: t.distributions.Normal("a", 1.0),
    "shapes": lambda t: t.distributions.Normal(t.zeros(2), t.ones(3)),
    "negative probabilities": lambda t: t.distributions.Categorical(t.tensor([-1.0, 2.0])),
    "nan logits": lambda t: t.distributions.Categorical(logits=t.tensor([float("nan"), 2.0])),
    "a number of categories": lambda t: t.distributions.Categorical(t.tensor(1.0)),
    "both": lambda t: t.distributions.Categorical(t.ones(2), t.ones(2)),
    "neither": lambda t: t.distributions.Bernoulli(),
    "above one": lambda t: t.distributions.Bernoulli(t.tensor([1.5])),
    "an empty interval": lambda t: t.distributions.Uniform(1.0, 1.0),
    "outside": lambda t: t.distributions.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)),
    "no category": lambda t: t.distributions.Categorical(t.ones(3)).log_prob(t.tensor(3)),
    "half a success": lambda t: t.distributions.Bernoulli(0.5).log_prob(t.tensor(0.5)),
    "a plain number": lambda t: t.distributions.Normal(0.0, 1.0).log_prob(0.5),
    "another shape": lambda t: t.distributions.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)),
    "another event": lambda t: t.distributions.Dirichlet(t.ones(3)).log_prob(t.ones(2) / 2),
    "too many axes": lambda t: t.distributions.Independent(t.distributions.Normal(t.zeros(2), 1.0), 2),
    "not positive definite": lambda t: t.distributions.MultivariateNormal(t.zeros(2), -t.ones(2, 2)),
    "two matrices": lambda t: t.distributions.MultivariateNormal(t.zeros(2), t.eye(2), t.eye(2)),
    "no transform": lambda t: t.distributions.TransformedDistribution(t.distributions.Normal(0.0, 1.0), [3]),
    "no mixture": lambda t: t.distributions.MixtureSameFamily(3, t.distributions.Normal(0.0, 1.0)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_makes_no_sense_is_the_same_kind_of_error(torch, name):
    kinds = []
    for library in (own, torch):
        with pytest.raises(Exception) as error:  # noqa: PT011, the kinds are compared
            ERRORS[name](library)
        kinds.append(error.type)
    assert kinds[0] is kinds[1], kinds


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_checks_can_be_switched_off(torch):
    for library in (own, torch):
        d = library.distributions
        d.Normal(0.0, -1.0, validate_args=False)
        assert d.Uniform(0.0, 1.0, validate_args=False).log_prob(library.tensor(2.0)).item() == -float("inf")
        d.Distribution.set_default_validate_args(False)
        try:
            d.Normal(0.0, -1.0)
        finally:
            d.Distribution.set_default_validate_args(True)
        with pytest.raises(ValueError, match="constraint"):
            d.Normal(0.0, -1.0)


# ---- transforms ------------------------------------------------------------------------------------------------------
TRANSFORMS = {
    "ExpTransform": lambda d, t: d.ExpTransform(),
    "SigmoidTransform": lambda d, t: d.SigmoidTransform(),
    "SoftplusTransform": lambda d, t: d.SoftplusTransform(),
    "TanhTransform": lambda d, t: d.TanhTransform(),
    "AffineTransform": lambda d, t: d.AffineTransform(t.ones(3).double(), -2 * t.ones(3).double()),
    "ComposeTransform": lambda d, t: d.ComposeTransform([d.TanhTransform(), d.AffineTransform(0.5, -0.5)]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_go_there_and_back_with_pytorchs_jacobians(torch, name):
    found = []
    for library in (own, torch):
        transform = TRANSFORMS[name](library.distributions, library)
        x = library.tensor(signed(4, 3), requires_grad=True)
        y = transform(x)
        back = transform.inv(y)
        jacobian = transform.log_abs_det_jacobian(x, y)
        other = transform.inv.log_abs_det_jacobian(y, x)
        (jacobian.sum() + y.sum()).backward()
        sign = transform.sign
        found.append([z.detach().numpy() for z in (y, back, jacobian, other, x.grad)] + [np.asarray(sign)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_transform_remembers_if_asked(torch):
    for library in (own, torch):
        transform = library.distributions.TanhTransform(cache_size=1)
        x = library.tensor([20.0])
        y = transform(x)
        assert transform.inv(y) is x
        assert transform(x) is y
        assert library.distributions.TanhTransform().inv(y).item() == float("inf")
        d = library.distributions
        squashed = d.TransformedDistribution(d.Normal(0.0, 1.0), [d.TanhTransform(cache_size=1)])
        assert np.isfinite(squashed.log_prob(squashed.rsample()).item())
        assert d.TanhTransform() == d.TanhTransform()
        assert d.AffineTransform(1.0, 2.0) == d.AffineTransform(1.0, 2.0)
        assert d.AffineTransform(1.0, 2.0) != d.AffineTransform(1.0, 3.0)
        with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
            d.TanhTransform(cache_size=2)


# ---- what there is ---------------------------------------------------------------------------------------------------
def test_every_distribution_is_there_with_pytorchs_arguments_or_missing_with_advice(torch):
    for name in torch.distributions.__all__:
        theirs = getattr(torch.distributions, name)
        if not hasattr(own.distributions, name):
            with pytest.raises(AttributeError, match=f"{name} is not in fastnn"):
                getattr(own.distributions, name)
            continue
        ours = getattr(own.distributions, name)
        if inspect.isclass(theirs):
            assert name in CASES or name in TRANSFORMS or name in ("Distribution", "Transform"), name
            pair = [
                [(p.name, p.default) for p in inspect.signature(c.__init__).parameters.values()] for c in (ours, theirs)
            ]
            assert pair[0] == pair[1], name
            assert ours.__module__.partition(".compat.")[2] == theirs.__module__, name


def test_a_distribution_has_pytorchs_methods(torch):
    theirs = {name for name in dir(torch.distributions.Normal) if name[0] != "_"}
    assert theirs <= set(dir(own.distributions.Normal))
