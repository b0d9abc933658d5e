"""What the estimators for scikit-learn take and give: images, labels, targets, and errors for all else."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris, make_blobs, make_friedman1
from sklearn.model_selection import train_test_split

from fastnn import data, nn
from fastnn.interop import NetClassifier, NetRegressor

X_IRIS, Y_IRIS = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def digits():
    """Rows of 8x8 pixels for training and for testing, their labels."""
    return train_test_split(*load_digits(return_X_y=True), test_size=0.25, random_state=0)


def quick(**settings):
    return NetClassifier(**{"epochs": 5, "random_state": 0, **settings})


def weights_of(estimator):
    return np.concatenate([parameter.data.ravel() for parameter in estimator.network_.parameters()])


# ---- images ----------------------------------------------------------------------------------------------------------
def test_images_in_rows_and_images_of_four_dimensions_are_the_same(digits):
    X, X_test, y, _ = (part[:100] for part in digits)
    flat = quick(image_shape=(1, 8, 8), epochs=2).fit(X, y)
    square = quick(epochs=2).fit(X.reshape(-1, 1, 8, 8), y)
    np.testing.assert_array_equal(weights_of(flat), weights_of(square))
    for classifier in (flat, square):
        assert classifier.image_shape_ == (1, 8, 8)
        assert classifier.n_features_in_ == 64
        expected = flat.predict_proba(X_test)
        np.testing.assert_array_equal(classifier.predict_proba(X_test), expected)
        np.testing.assert_array_equal(classifier.predict_proba(X_test.reshape(-1, 1, 8, 8)), expected)


def test_bytes_and_floats_of_the_same_images_are_the_same(rng):
    images = rng.integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
    labels = np.arange(40) % 2
    first, second = (quick(epochs=1).fit(x, labels) for x in (images, images.astype(np.float64)))
    np.testing.assert_array_equal(weights_of(first), weights_of(second))
    np.testing.assert_allclose(first.mean_, images.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(first.scale_, images.std(axis=(0, 2, 3)), rtol=1e-5)


def test_images_are_augmented(digits):
    X, _, y, _ = (part[:100] for part in digits)
    plain = quick(image_shape=(1, 8, 8), epochs=1).fit(X, y)
    augmented = quick(image_shape=(1, 8, 8), epochs=1, augment=data.RandomCrop(1)).fit(X, y)
    assert (weights_of(plain) != weights_of(augmented)).any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 9), (28, 28)])
def test_the_default_network_takes_images_of_any_size(shape, rng):
    images = rng.standard_normal((10, 2, *shape))
    assert quick(epochs=1).fit(images, np.arange(10) % 3).predict_proba(images).shape == (10, 3)


# ---- targets ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("names", [["x", "yy", "zzz"], [3, -1, 7], [0.0, 1.0, 2.0], np.array(["b", "a", "c"], object)])
def test_labels_of_any_kind(names):
    y = np.asarray(names)[Y_IRIS]
    classifier = quick(epochs=20, early_stopping=True).fit(X_IRIS, y)
    assert classifier.score(X_IRIS, y) > 0.8
    assert classifier.predict(X_IRIS).dtype == y.dtype
    np.testing.assert_array_equal(classifier.classes_, np.unique(y))


def test_two_truths_are_classes():
    classifier = quick(epochs=20).fit(X_IRIS, Y_IRIS == 0)
    assert classifier.decision_function(X_IRIS).shape == (150,)
    np.testing.assert_array_equal(classifier.predict(X_IRIS), classifier.decision_function(X_IRIS) > 0)


def test_probabilities_are_those_of_the_scores():
    classifier = quick().fit(X_IRIS, Y_IRIS)
    scores, probabilities = classifier.decision_function(X_IRIS), classifier.predict_proba(X_IRIS)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-12)
    np.testing.assert_allclose(classifier.predict_log_proba(X_IRIS), np.log(expected), rtol=1e-9)


def test_several_targets_and_a_column():
    X, y = make_friedman1(200, random_state=0)
    both = NetRegressor(epochs=30, random_state=0).fit(X, np.column_stack([y, -1000 * y]))
    assert both.score(X, np.column_stack([y, -1000 * y])) > 0.8
    predictions = both.predict(X)
    assert predictions.shape == (200, 2)
    assert predictions.dtype == np.float64
    assert NetRegressor(epochs=1).fit(X, y[:, None]).predict(X).shape == (200, 1)
    assert NetRegressor(epochs=1).fit(X, y).predict(X).shape == (200,)


def test_a_constant_target_is_predicted():
    regressor = NetRegressor(epochs=100, random_state=0).fit(X_IRIS, np.full(150, 7.0))
    np.testing.assert_allclose(regressor.predict(X_IRIS), 7.0, atol=0.05)


def test_class_weights_count(rng):
    X, y = make_blobs([180, 20], centers=[[0, 0], [1, 1]], random_state=0)
    share = {}
    for weight in (None, "balanced", {0: 1.0, 1: 1000.0}):
        classifier = quick(epochs=30, class_weight=weight).fit(X, y)
        share[str(weight)] = classifier.predict(X).mean()
    assert share["None"] < share["balanced"] < share["{0: 1.0, 1: 1000.0}"]
    ones = weights_of(quick(class_weight={0: 1.0, 1: 1.0}).fit(X, y))
    np.testing.assert_allclose(ones, weights_of(quick().fit(X, y)), atol=1e-5)


def test_losses_of_ones_own():
    smoothed = quick(criterion=nn.CrossEntropyLoss(label_smoothing=0.3), epochs=30).fit(X_IRIS, Y_IRIS)
    assert smoothed.predict_proba(X_IRIS).max() < quick(epochs=30).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).max()
    X, y = make_friedman1(100, random_state=0)
    for criterion in (nn.HuberLoss(), lambda outputs, targets: abs(outputs - targets).mean()):
        assert NetRegressor(criterion=criterion, epochs=30, random_state=0).fit(X, y).score(X, y) > 0.5


# ---- errors ----------------------------------------------------------------------------------------------------------
IMAGES = np.zeros((6, 3, 4, 5))
WRONG = {
    "not finite": (lambda: quick().fit([[np.nan], [1.0]], [0, 1]), "Input X contains NaN"),
    "infinite": (lambda: quick().fit([[np.inf], [1.0]], [0, 1]), "infinity"),
    "too large": (lambda: quick(standardize=False).fit([[1e300], [1.0]], [0, 1]), "too large for float32"),
    "too large, standardised": (lambda: quick().fit([[1e300], [1.0]], [0, 1]), "X has values that are too large"),
    "large targets": (lambda: NetRegressor().fit(X_IRIS, Y_IRIS * 1e300), "y has values that are too large to be"),
    "no images": (lambda: quick().fit(IMAGES[:0], []), "0 sample"),
    "rows last": (lambda: quick().fit(np.zeros((6, 8, 8, 3)), [0, 1] * 3), "channels come first"),
    "too few to hold out": (
        lambda: quick(early_stopping=True).fit(X_IRIS[:4], [0, 0, 0, 1]),
        "early_stopping cannot hold out 0.1 of 4 rows; give more rows",
    ),
    "one class": (lambda: quick().fit(X_IRIS, [1] * 150), "at least two classes. Received: 1 class, .*1"),
    "numbers for a classifier": (lambda: quick().fit(X_IRIS, X_IRIS[:, 0]), "Unknown label type: continuous"),
    "several labels": (lambda: quick().fit(X_IRIS, np.eye(3, dtype=int)[Y_IRIS]), r"1d array"),
    "three dimensions": (lambda: quick().fit(IMAGES[0], [0, 1, 0]), r"of grey images that is X\[:, None\]"),
    "image_shape": (lambda: quick(image_shape=(8, 8)).fit(X_IRIS, Y_IRIS), r"image_shape must be \(channels, height"),
    "size": (lambda: quick(image_shape=(1, 2, 3)).fit(X_IRIS, Y_IRIS), r"1 \* 2 \* 3 = 6 numbers in a row. Rec"),
    "other images": (lambda: quick(image_shape=(1, 4, 5)).fit(IMAGES, [0, 1] * 3), r"images of shape \(1, 4, 5\) are"),
    "later images": (lambda: quick(epochs=1).fit(IMAGES, [0, 1] * 3).predict(IMAGES[:, :2]), r"shape \(3, 4, 5\) are"),
    "images later": (lambda: quick().fit(X_IRIS, Y_IRIS).predict(IMAGES), "it was fitted on a table"),
    "augmented table": (lambda: quick(augment=data.RandomCrop(1)).fit(X_IRIS, Y_IRIS), "only images can be augmented"),
    "outputs": (lambda: quick(network=nn.Linear(4, 2)).fit(X_IRIS, Y_IRIS), r"must give 3 numbers .* Received: \(2,\)"),
    "shape inside": (lambda: quick(network=nn.Linear(5, 3)).fit(X_IRIS, Y_IRIS), "Linear"),
    "epochs": (lambda: quick(epochs=0).fit(X_IRIS, Y_IRIS), "NetClassifier: epochs must be"),
    "batch_size": (lambda: quick(batch_size=0).fit(X_IRIS, Y_IRIS), "NetClassifier: batch_size must be"),
    "fraction": (lambda: quick(validation_fraction=1).fit(X_IRIS, Y_IRIS), "must lie between 0 and 1"),
    "schedule": (lambda: quick(schedule="step").fit(X_IRIS, Y_IRIS), "schedule must be"),
    "optimizer": (lambda: quick(optimizer="adamax").fit(X_IRIS, Y_IRIS), "optimizer must be"),
    "rate": (lambda: quick(learning_rate=-1).fit(X_IRIS, Y_IRIS), "learning_rate"),
    "weights and loss": (
        lambda: quick(class_weight="balanced", criterion=nn.CrossEntropyLoss()).fit(X_IRIS, Y_IRIS),
        "leave criterion=None",
    ),
    "classes": (lambda: quick().partial_fit(X_IRIS, Y_IRIS), "first call of partial_fit needs classes"),
    "other classes": (
        lambda: quick().partial_fit(X_IRIS, Y_IRIS, [0, 1, 2]).partial_fit(X_IRIS, Y_IRIS, [0, 1]),
        r"classes were \[0 1 2\] in the first call",
    ),
    "unknown class": (lambda: quick().partial_fit(X_IRIS, Y_IRIS, [0, 1]), r"not among \[0 1\]. Received: \[2\]"),
    "balanced parts": (lambda: quick(class_weight="balanced").partial_fit(X_IRIS, Y_IRIS, [0, 1, 2]), "give a dict"),
    "stopped parts": (lambda: quick(early_stopping=True).partial_fit(X_IRIS, Y_IRIS, [0, 1, 2]), "partial_fit is one"),
    "more targets": (
        lambda: NetRegressor().partial_fit(X_IRIS, Y_IRIS).partial_fit(X_IRIS, X_IRIS[:, :2]),
        r"y had 1 numbers for each row in the first training. Received: y.shape=\(150, 2\)",
    ),
    "warm classes": (lambda: quick(warm_start=True).fit(X_IRIS[:100], Y_IRIS[:100]).fit(X_IRIS, Y_IRIS), "not among"),
}  # fmt: skip
WRONG_TYPES = {
    "sparse": (lambda: quick().fit(sparse.csr_array(X_IRIS), Y_IRIS), "dense data is required"),
    "network": (lambda: quick(network="resnet").fit(X_IRIS, Y_IRIS), "network must be an nn.Module, or a function"),
    "made": (lambda: quick(network=lambda shape, n: None).fit(X_IRIS, Y_IRIS), "network must be .* Received: None"),
    "optimizer": (lambda: quick(optimizer=3).fit(X_IRIS, Y_IRIS), "optimizer must be one of adam, adamw, sgd, or"),
    "callbacks": (lambda: quick(callbacks=[print]).fit(X_IRIS, Y_IRIS), "callbacks must hold training.Callback"),
    "criterion": (lambda: quick(criterion=nn.MSELoss).fit(X_IRIS, Y_IRIS), "criterion must be callable; make"),
    "sizes": (lambda: quick(hidden_layer_sizes="128").fit(X_IRIS, Y_IRIS), "hidden_layer_sizes must be"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_what_has_the_wrong_type_is_said(call, message):
    with pytest.raises(TypeError, match=message):
        call()
