"""Files: weights, states, atomic writing; and the counting of hits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastnn import nn, training

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8]), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
)
trees = st.recursive(
    scalars | arrays,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(-(2**59), 2**59), inner, max_size=3)
    ),
    max_leaves=8,
)


def equal(a, b):
    if isinstance(a, np.ndarray):
        same_kind = isinstance(b, np.ndarray) and (a.shape, a.dtype) == (b.shape, b.dtype)
        return same_kind and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@given(tree=st.dictionaries(st.text(max_size=4), trees, max_size=4))
def test_state_round_trip_is_exact(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("state") / "s"
    training.save_state(path, tree)
    assert equal(training.load_state(path), tree)


def test_state_of_two_keys_with_one_path_is_kept_apart(tmp_path):
    tree = {"a": {"b": np.zeros(1)}, "a.b": np.ones(2), 1: np.ones(3), "1": np.ones(4)}
    training.save_state(tmp_path / "s", tree)
    assert equal(training.load_state(tmp_path / "s"), tree)


def test_state_of_a_foreign_object_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"cannot hold a\.b, a set"):
        training.save_state(tmp_path / "s", {"a": {"b": {1}}})
    assert list(tmp_path.iterdir()) == []


def test_weights_round_trip_and_are_plain_safetensors(tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    path = tmp_path / "w.safetensors"
    training.save_weights(model, path, {"note": "text"})
    for key, array in load_file(path).items():
        np.testing.assert_array_equal(array, model.state_dict()[key])
    assert load_file(path)["1.num_batches_tracked"].shape == ()
    with safe_open(path, "np") as file:
        assert file.metadata().items() >= {"format": "pt", "note": "text"}.items()
        assert file.metadata().keys() == {"format", "note", "fastnn_crc32"}
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    training.load_weights(path, other)
    assert all((a == b).all() for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert list(training.load_weights(path)) == sorted(model.state_dict())


def test_weights_of_another_network_change_nothing(tmp_path):
    training.save_weights(nn.Linear(3, 2), tmp_path / "w")
    model = nn.Linear(3, 4)
    before = model.weight.data.copy()
    with pytest.raises(ValueError, match=r"\(4, 3\) is needed"):
        training.load_weights(tmp_path / "w", model)
    np.testing.assert_array_equal(model.weight.data, before)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        training.load_weights(tmp_path / "x", model)


# ---- hits ------------------------------------------------------------------------------------------------------------
@given(
    logits=hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 7)), elements=st.integers(-2, 2)),
    k=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_top_k_hits_agree_with_a_stable_sort(logits, k, seed):
    labels = np.random.default_rng(seed).integers(0, logits.shape[1], len(logits))
    expected = sum(label in np.argsort(-row, kind="stable")[:k] for row, label in zip(logits, labels, strict=True))
    assert training.top_k_hits(logits, labels, k) == expected
    probabilities = np.eye(logits.shape[1])[labels]
    assert training.top_k_hits(logits, probabilities, k) == expected


def test_top_k_hits_nan_is_never_right():
    assert training.top_k_hits(np.full((3, 4), np.nan), np.array([0, 1, 2]), 3) == 0


# ---- evaluation ------------------------------------------------------------------------------------------------------
class Pixels(nn.Module):
    """A 'network' whose logits are some pixels, so that what it was shown can be seen."""

    def forward(self, x):
        return np.ascontiguousarray(x[:, 0, :, :].reshape(len(x), -1))


def test_predict_averages_over_flips_and_shifts(rng):
    x = rng.standard_normal((3, 2, 6, 5)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    model = Pixels()

    def mirrored(a):
        return (model(a).astype(float) + model(a[..., ::-1])) / 2

    expected = {0: model(x), 1: mirrored(x)}
    expected[2] = 0.5 * mirrored(x) + 0.25 * mirrored(padded[:, :, :6, :5]) + 0.25 * mirrored(padded[:, :, 2:, 2:])
    for tta, logits in expected.items():
        np.testing.assert_allclose(training.predict(model, x, tta), logits, atol=4e-7)
    with pytest.raises(ValueError, match="tta must be"):
        training.predict(model, x, 3)


def test_evaluate_is_in_eval_mode_and_changes_nothing(rng):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 10))
    model[1].eval()
    before = model.state_dict()
    batches = [(rng.standard_normal((n, 4)).astype(np.float32), rng.integers(0, 10, n)) for n in (5, 3)]
    first, second = training.evaluate(model, batches), training.evaluate(model, batches)
    assert first == second
    assert first.images == 8
    assert [m.training for m in model] == [True, False, True, True]
    assert all((a == before[key]).all() for key, a in model.state_dict().items())
    model.eval()
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    logits = model(x)
    assert first.accuracy == (logits.argmax(1) == y).mean()
    assert abs(first.loss - nn.CrossEntropyLoss()(logits, y)) < 1e-6
    with pytest.raises(ValueError, match="no images"):
        training.evaluate(model, [])


def test_predict_of_a_loader_keeps_what_a_network_writes_into_one_buffer():
    class Reuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.buffer = np.zeros((2, 3), np.float32)

        def forward(self, x):
            self.buffer[...] = x
            return self.buffer

    batches = [np.full((2, 3), value, np.float32) for value in (1, 2, 3)]
    expected = np.concatenate(batches)
    np.testing.assert_array_equal(training.predict(Reuses(), batches), expected)
    np.testing.assert_array_equal(training.predict(Reuses(), [(x, None) for x in batches]), expected)
    with pytest.raises(ValueError, match="predict: the loader gave no batches"):
        training.predict(Reuses(), [])
    for wrong in ("a", 3, [[1, 2]], None):
        with pytest.raises(TypeError, match="predict: x must be an array, or a loader of batches"):
            training.predict(Reuses(), wrong)


def test_predict_averages_outputs_that_a_network_writes_into_one_buffer(rng):
    class Reuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.buffer = np.zeros((2, 4), np.float32)

        def forward(self, x):
            self.buffer[...] = x[:, 0, 0]
            return self.buffer

    x = rng.standard_normal((2, 1, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(training.predict(Reuses(), x, 1), (x[:, 0, 0] + x[:, 0, 0, ::-1]) / 2)
