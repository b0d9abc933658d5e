"""Networks as scikit-learn's estimators do what scikit-learn promises of estimators, and what they promise themselves."""

import copy
import importlib.util
import inspect
import pickle
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_blobs, make_friedman1
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastnn
from fastnn import data, nn, optim, training
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


# ---- scikit-learn's own checks ---------------------------------------------------------------------------------------
def checks():
    for estimator in (NetClassifier(), NetRegressor()):
        for checked, check in estimator_checks_generator(estimator):
            name = check.func.__name__
            if name != "check_array_api_input":  # of those that say they take other arrays than NumPy's
                yield pytest.param(checked, check, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_it_passes_every_check_of_scikit_learn(estimator, check):
    if check.func.__name__.endswith("data_not_an_array") and importlib.util.find_spec("pandas") is None:
        pytest.skip("this check needs pandas")
    check(estimator)


def test_no_check_is_expected_to_fail():
    for estimator in (NetClassifier(), NetRegressor()):
        tags = estimator.__sklearn_tags__()
        assert not tags._skip_test
        assert not tags.non_deterministic
        assert not getattr(tags.classifier_tags, "poor_score", False)
        assert not getattr(tags.regressor_tags, "poor_score", False)


# ---- what it reaches -------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_search_in_a_pipeline_finds_a_good_table_network_for_digits():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetClassifier(epochs=20, random_state=0))
    search = GridSearchCV(pipeline, {"netclassifier__learning_rate": [1e-3, 3e-3]}, cv=3)
    assert search.fit(X, y).best_score_ >= 0.95


def test_a_search_runs_in_two_processes():
    search = GridSearchCV(quick(), {"hidden_layer_sizes": [(8,), (32,)]}, cv=2, n_jobs=2)
    alone = GridSearchCV(quick(), {"hidden_layer_sizes": [(8,), (32,)]}, cv=2)
    search.fit(X_IRIS, Y_IRIS)
    alone.fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(weights_of(search.best_estimator_), weights_of(alone.best_estimator_))


@pytest.mark.slow
def test_a_convolutional_network_reads_digits(digits):
    X_train, X_test, y_train, y_test = digits
    classifier = NetClassifier(image_shape=(1, 8, 8), epochs=15, random_state=0).fit(X_train, y_train)
    assert any(isinstance(module, nn.Conv2d) for module in classifier.network_.modules())
    assert classifier.score(X_test, y_test) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diabetes", "friedman"])
def test_regression_is_not_worse_than_scikit_learns(name):
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    else:
        X, y = make_friedman1(1000, noise=1.0, random_state=0)
    ours = cross_val_score(NetRegressor(random_state=0), X, y, cv=3).mean()
    theirs = make_pipeline(StandardScaler(), MLPRegressor(random_state=0, early_stopping=True, max_iter=500))
    assert ours > cross_val_score(theirs, X, y, cv=3).mean() - 0.02
    assert ours > {"diabetes": 0.35, "friedman": 0.8}[name]


def test_a_table_need_not_be_scaled():
    """Times in seconds since 1970 differ by less than float32 can tell there."""
    X, y = make_blobs(200, centers=3, cluster_std=0.5, random_state=0)
    far = X * np.array([1e-6, 60.0]) + np.array([0.0, 1.6e9])
    assert quick(epochs=30).fit(far, y).score(far, y) == quick(epochs=30).fit(X, y).score(X, y) >= 0.97
    integers = np.round(far * np.array([1e9, 1.0])).astype(np.int64)
    assert quick(epochs=30).fit(integers, y).score(integers, y) >= 0.97


# ---- determinism -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("image_shape", [None, (1, 8, 8)])
def test_one_seed_gives_the_same_bits_with_any_number_of_threads(digits, image_shape):
    X, _, y, _ = (part[:200] for part in digits)
    made = []
    for threads in (1, 2, 1):
        with fastnn.num_threads(threads):
            classifier = quick(epochs=2, image_shape=image_shape).fit(X, y)
            made.append((weights_of(classifier), classifier.predict_proba(X)))
    for weights, probabilities in made[1:]:
        np.testing.assert_array_equal(weights, made[0][0])
        np.testing.assert_array_equal(probabilities, made[0][1])
    other = quick(epochs=2, image_shape=image_shape, random_state=1).fit(X, y)
    assert (weights_of(other) != made[0][0]).any()


@pytest.mark.parametrize("random_state", [None, 0])
def test_the_global_generator_of_numpy_is_left_alone(random_state):
    before = np.random.get_state()  # noqa: NPY002  (whether it is left alone is the question)
    quick(random_state=random_state, early_stopping=True).fit(X_IRIS, Y_IRIS)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


def test_a_seed_leaves_the_generator_of_fastnn_alone_and_none_draws_from_it():
    fastnn.manual_seed(3)
    before = fastnn.random_state()
    quick(random_state=0).fit(X_IRIS, Y_IRIS)
    assert fastnn.random_state() == before
    first = weights_of(quick(random_state=None).fit(X_IRIS, Y_IRIS))
    second = weights_of(quick(random_state=None).fit(X_IRIS, Y_IRIS))
    fastnn.manual_seed(3)
    again = weights_of(quick(random_state=None).fit(X_IRIS, Y_IRIS))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_a_random_state_object_is_drawn_from():
    state = np.random.RandomState(0)  # noqa: NPY002  (scikit-learn's kind)
    first, second = (weights_of(quick(random_state=state).fit(X_IRIS, Y_IRIS)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("image_shape", [None, (1, 8, 8)])
def test_a_prediction_does_not_depend_on_the_rows_beside_it(digits, image_shape):
    X_train, X_test, y_train, _ = digits
    classifier = quick(epochs=1, image_shape=image_shape).fit(X_train[:300], y_train[:300])
    expected = classifier.decision_function(X_test[:301])
    for rows in (slice(0, 1), slice(5, 8), slice(100, 170), slice(300, 301)):
        np.testing.assert_array_equal(classifier.decision_function(X_test[rows]), expected[rows])


# ---- copies ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))])
def test_a_copy_predicts_the_same_and_goes_on_the_same(copied):
    classifier = quick(network=lambda_free_network).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    twin = copied(classifier)
    np.testing.assert_array_equal(twin.predict_proba(X_IRIS), classifier.predict_proba(X_IRIS))
    for estimator in (classifier, twin):
        estimator.partial_fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(weights_of(twin), weights_of(classifier))


def lambda_free_network(input_shape, n_outputs):
    return nn.Sequential(
        nn.Linear(*input_shape, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, n_outputs)
    )


def test_joblib_keeps_it(tmp_path):
    import joblib

    classifier = quick().fit(X_IRIS, Y_IRIS)
    joblib.dump(classifier, tmp_path / "classifier.joblib")
    twin = joblib.load(tmp_path / "classifier.joblib")
    np.testing.assert_array_equal(twin.predict_proba(X_IRIS), classifier.predict_proba(X_IRIS))


def test_a_fitted_estimator_keeps_neither_gradients_nor_activations():
    classifier = quick().fit(X_IRIS, Y_IRIS)
    assert len(pickle.dumps(classifier)) < 20_000  # 1,027 weights
    assert all(parameter.grad is None for parameter in classifier.network_.parameters())


def test_a_clone_has_the_settings_and_is_not_fitted():
    classifier = quick(network=nn.Linear(4, 3), callbacks=[training.Lookahead()], augment=None).fit(X_IRIS, Y_IRIS)
    twin = clone(classifier)
    assert twin.get_params().keys() == classifier.get_params().keys()
    with pytest.raises(NotFittedError):
        twin.predict(X_IRIS)
    np.testing.assert_array_equal(twin.network.weight.data, classifier.network.weight.data)


# ---- networks --------------------------------------------------------------------------------------------------------
def test_fit_trains_a_copy_of_a_module():
    network = nn.Linear(4, 3)
    before = network.weight.data.copy()
    classifier = quick(network=network).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(network.weight.data, before)
    assert network.training
    assert (classifier.network_.weight.data != before).any()
    once_more = weights_of(quick(network=network).fit(X_IRIS, Y_IRIS))
    np.testing.assert_array_equal(weights_of(classifier), once_more)


def test_a_function_is_told_the_shapes():
    told = []

    def network(input_shape, n_outputs):
        told.append((input_shape, n_outputs))
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_outputs))

    quick(network=network).fit(X_IRIS, Y_IRIS)
    quick(network=network).fit(np.zeros((6, 3, 4, 5)), [0, 1] * 3)
    NetRegressor(network, epochs=1).fit(X_IRIS, X_IRIS[:, :2])
    assert told == [((4,), 3), ((3, 4, 5), 2), ((4,), 2)]


class Outputs(nn.Module):
    """A network of one's own whose class is what makes it."""

    def __init__(self, input_shape, n_outputs):
        super().__init__()
        self.linear = nn.Linear(input_shape[0], n_outputs)

    def forward(self, x):
        return self.linear(np.tanh(x))


def test_a_class_makes_the_network():
    classifier = quick(network=Outputs, epochs=30, learning_rate=0.05).fit(X_IRIS, Y_IRIS)
    assert isinstance(classifier.network_, Outputs)
    assert classifier.score(X_IRIS, Y_IRIS) > 0.9


def test_no_hidden_layer_is_a_linear_model():
    network = quick(hidden_layer_sizes=()).fit(X_IRIS, Y_IRIS).network_
    assert sum(parameter.size for parameter in network.parameters()) == 4 * 3 + 3


def test_batch_norm_never_gets_a_single_row():
    """150 rows in batches of 149 leave one."""
    classifier = quick(network=lambda_free_network, batch_size=149).fit(X_IRIS, Y_IRIS)
    assert classifier.history_.rows[-1]["step"] == 5


@pytest.mark.parametrize("optimizer", ["adam", "sgd", optim.Lion])
def test_optimizers_by_name_and_by_class(optimizer):
    rate = 3e-3 if optimizer is optim.Lion else 1e-2
    classifier = quick(optimizer=optimizer, learning_rate=rate, epochs=20).fit(X_IRIS, Y_IRIS)
    assert classifier.score(X_IRIS, Y_IRIS) > 0.9


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


def test_images_are_augmented(digits):
    X, _, y, _ = (part[:100] for part in digits)
    plain = quick(image_shape=(1, 8, 8), epochs=1).fit(X, y)
    augmented = quick(image_shape=(1, 8, 8), epochs=1, augment=data.RandomCrop(1)).fit(X, y)
    assert (weights_of(plain) != weights_of(augmented)).any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 9), (28, 28)])
def test_the_default_network_takes_images_of_any_size(shape, rng):
    images = rng.standard_normal((10, 2, *shape))
    assert quick(epochs=1).fit(images, np.arange(10) % 3).predict_proba(images).shape == (10, 3)


# ---- early stopping, interrupts, going on ----------------------------------------------------------------------------
class Recorder(training.Callback):
    """The weights after each epoch."""

    def __init__(self):
        self.weights = []

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, trainer, row):
        self.weights.append(np.concatenate([parameter.data.ravel() for parameter in trainer.model.parameters()]))


def test_early_stopping_goes_back_to_the_best_weights():
    recorder = Recorder()
    X, y = make_blobs(120, centers=2, cluster_std=6.0, random_state=0)
    settings = {"learning_rate": 0.05, "patience": 3, "callbacks": [recorder], "early_stopping": True}
    classifier = quick(epochs=200, **settings).fit(X, y)
    losses = classifier.history_["val_loss"]
    best = int(np.argmin(losses))
    assert classifier.n_iter_ == len(losses) == best + 1 + 3 < 200
    np.testing.assert_array_equal(weights_of(classifier), recorder.weights[best])


def test_early_stopping_holds_out_the_part_that_is_said():
    recorded = []

    class Sizes(training.Callback):
        def on_epoch_end(self, trainer, row):
            recorded.append((trainer.images_seen, [len(y) for _, y in trainer.loaders[1]]))

    quick(epochs=1, batch_size=10, early_stopping=True, validation_fraction=0.2, callbacks=[Sizes()]).fit(
        X_IRIS, Y_IRIS
    )
    assert recorded == [(120, [30])]


class Signal(training.Callback):
    """Sends a signal in a step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("step", [2, 40])
def test_ctrl_c_leaves_an_estimator_that_can_be_used(early_stopping, step):
    classifier = quick(epochs=50, early_stopping=early_stopping, batch_size=15, callbacks=[Signal(step)])
    with pytest.warns(UserWarning, match=rf"NetClassifier: training interrupted after step {step} of (450|500);"):
        classifier.fit(X_IRIS, Y_IRIS)
    assert classifier.predict(X_IRIS).shape == (150,)
    assert classifier.n_iter_ == step // (9 if early_stopping else 10)
    assert len(classifier.loss_curve_) == classifier.n_iter_
    assert not classifier.network_.training


def test_the_signal_that_ends_a_process_ends_the_training():
    classifier = quick(callbacks=[Signal(2, signal.SIGTERM)])
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(training.Interrupted):
            classifier.fit(X_IRIS, Y_IRIS)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_training_that_fails_leaves_no_half_of_an_estimator():
    classifier = quick().fit(X_IRIS, Y_IRIS)
    classifier.set_params(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(training.NonFiniteLoss), np.errstate(all="ignore"):
        classifier.fit(X_IRIS, Y_IRIS)
    with pytest.raises(NotFittedError):
        classifier.predict(X_IRIS)


def test_partial_fit_learns_from_parts():
    classifier = quick(learning_rate=0.01)
    order = np.random.default_rng(0).permutation(150)
    for _ in range(10):
        for part in np.split(order, 5):
            classifier.partial_fit(X_IRIS[part], Y_IRIS[part], classes=[0, 1, 2])
    assert classifier.score(X_IRIS, Y_IRIS) > 0.9
    assert classifier.n_iter_ == 50
    assert classifier.history_["epoch"] == list(range(1, 51))
    assert set(classifier.history_["lr"]) == {0.01}


def test_partial_fit_knows_classes_that_it_has_not_seen():
    classifier = quick().partial_fit(X_IRIS[:100], Y_IRIS[:100], classes=[7, 2, 1, 0])
    assert classifier.predict_proba(X_IRIS).shape == (150, 4)
    np.testing.assert_array_equal(classifier.classes_, [0, 1, 2, 7])


def test_partial_fit_takes_one_row():
    regressor = NetRegressor(random_state=0).partial_fit([[1.0, 2.0]], [3.0]).partial_fit([[2.0, 1.0]], [1.0])
    assert np.isfinite(regressor.predict([[1.0, 1.0]])).all()


def test_warm_start_goes_on():
    classifier = quick(warm_start=True).fit(X_IRIS, Y_IRIS)
    network = classifier.network_
    loss = classifier.loss_curve_[-1]
    classifier.fit(X_IRIS, Y_IRIS)
    assert classifier.network_ is network
    assert classifier.n_iter_ == 10
    assert classifier.loss_curve_[-1] < loss
    assert classifier.set_params(warm_start=False).fit(X_IRIS, Y_IRIS).n_iter_ == 5


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


# ---- with scikit-learn's other parts ---------------------------------------------------------------------------------
def test_ensembles_calibration_and_importance():
    voting = VotingClassifier([("a", quick()), ("b", quick(random_state=1))], voting="soft").fit(X_IRIS, Y_IRIS)
    assert voting.predict_proba(X_IRIS).shape == (150, 3)
    calibrated = CalibratedClassifierCV(quick(epochs=20), cv=2).fit(X_IRIS, Y_IRIS)
    assert calibrated.score(X_IRIS, Y_IRIS) > 0.8
    fitted = quick(epochs=20).fit(X_IRIS, Y_IRIS)
    importance = permutation_importance(fitted, X_IRIS, Y_IRIS, n_repeats=3, random_state=0)
    assert importance.importances_mean[2:].sum() > importance.importances_mean[:2].sum()
    scores = cross_val_score(quick(epochs=20), X_IRIS, Y_IRIS, cv=3, scoring="neg_log_loss")
    assert np.isfinite(scores).all()


def test_data_frames_give_names_and_pipelines_give_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    pipeline = make_pipeline(StandardScaler(), quick()).set_output(transform="pandas")
    pipeline.fit(frame, pandas.Series(Y_IRIS))
    assert list(pipeline[-1].feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        pipeline[-1].predict(frame[["b", "a", "c", "d"]])


def test_notebooks_show_its_settings():
    classifier = quick(hidden_layer_sizes=(7, 5))
    assert repr(classifier) == "NetClassifier(epochs=5, hidden_layer_sizes=(7, 5), random_state=0)"
    assert "hidden_layer_sizes" in classifier._repr_html_()
    assert "Linear" in repr(quick(network=nn.Sequential(nn.Linear(4, 3))))


# ---- errors ----------------------------------------------------------------------------------------------------------
IMAGES = np.zeros((6, 3, 4, 5))
WRONG = {
    "not finite": (lambda: quick().fit([[np.nan], [1.0]], [0, 1]), "Input X contains NaN"),
    "infinite": (lambda: quick().fit([[np.inf], [1.0]], [0, 1]), "infinity"),
    "too large": (lambda: quick(standardize=False).fit([[1e300], [1.0]], [0, 1]), "too large for float32"),
    "one class": (lambda: quick().fit(X_IRIS, [1] * 150), "at least two classes. Received: 1 class, .*1"),
    "numbers for a classifier": (lambda: quick().fit(X_IRIS, X_IRIS[:, 0]), "Unknown label type: continuous"),
    "several labels": (lambda: quick().fit(X_IRIS, np.eye(3, dtype=int)[Y_IRIS]), r"1d array"),
    "three dimensions": (lambda: quick().fit(IMAGES[0], [0, 1, 0]), r"of grey images that is X\[:, None\]"),
    "image_shape": (lambda: quick(image_shape=(8, 8)).fit(X_IRIS, Y_IRIS), r"image_shape must be \(channels, height"),
    "size": (lambda: quick(image_shape=(1, 2, 3)).fit(X_IRIS, Y_IRIS), r"1 \* 2 \* 3 = 6 numbers in a row. Received: 4"),
    "other images": (lambda: quick(image_shape=(1, 4, 5)).fit(IMAGES, [0, 1] * 3), r"images of shape \(1, 4, 5\) are"),
    "later images": (lambda: quick(epochs=1).fit(IMAGES, [0, 1] * 3).predict(IMAGES[:, :2]), r"shape \(3, 4, 5\) are"),
    "images later": (lambda: quick().fit(X_IRIS, Y_IRIS).predict(IMAGES), "it was fitted on a table"),
    "augmented table": (lambda: quick(augment=data.RandomCrop(1)).fit(X_IRIS, Y_IRIS), "only images can be augmented"),
    "outputs": (lambda: quick(network=nn.Linear(4, 2)).fit(X_IRIS, Y_IRIS), r"must give 3 numbers .* Received: \(2,\)"),
    "shape inside": (lambda: quick(network=nn.Linear(5, 3)).fit(X_IRIS, Y_IRIS), "Linear"),
    "epochs": (lambda: quick(epochs=0).fit(X_IRIS, Y_IRIS), "NetClassifier: epochs must be"),
    "batch_size": (lambda: quick(batch_size=0).fit(X_IRIS, Y_IRIS), "NetClassifier: batch_size must be"),
    "fraction": (lambda: quick(validation_fraction=1).fit(X_IRIS, Y_IRIS), "validation_fraction must lie between 0 and 1"),
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
    "criterion": (lambda: quick(criterion=nn.MSELoss).fit(X_IRIS, Y_IRIS), "criterion must be callable; make an instance"),
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


# ---- the package -----------------------------------------------------------------------------------------------------
def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


def test_fastnn_does_not_import_scikit_learn_before_it_is_needed():
    found = run("import sys, fastnn, fastnn.interop; dir(fastnn.interop); print('sklearn' in sys.modules)")
    assert found.stdout.strip() == "False", found.stderr


def test_without_scikit_learn_the_error_says_what_to_install():
    found = run("import sys; sys.modules['sklearn'] = None\nfrom fastnn.interop import NetClassifier")
    assert 'pip install "fastnn[sklearn]"' in found.stderr


@pytest.mark.parametrize("estimator", [NetClassifier, NetRegressor])
def test_every_parameter_is_documented_with_its_default(estimator):
    arguments = estimator.__doc__.partition("    Args:\n")[2].partition("    Attributes:\n")[0]
    entries = dict(re.findall(r"^ {8}(\w+): ((?:.+\n)(?: {12}.+\n)*)", arguments, re.MULTILINE))
    assert list(entries) == list(inspect.signature(estimator).parameters)
    assert [name for name, text in entries.items() if "efault" not in text] == []
