"""Networks as scikit-learn's estimators do what scikit-learn promises of estimators, and learn."""

import copy
import importlib.util
import inspect
import pickle
import re
import signal
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_blobs, make_friedman1
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastnn
from fastnn import nn, optim, training
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
@pytest.mark.parametrize("folds", [None, StratifiedKFold(3, shuffle=True, random_state=0)], ids=["default", "shuffled"])
def test_a_search_in_a_pipeline_finds_a_good_table_network_for_digits(folds):
    """Folds that are not shuffled are harder, since they hold out the writers of their digits."""
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetClassifier(random_state=0))
    search = GridSearchCV(pipeline, {"netclassifier__learning_rate": [1e-3, 3e-3]}, cv=folds)
    assert search.fit(X, y).best_score_ >= 0.95


@pytest.mark.parametrize(
    "backend", ["threading", "multiprocessing", pytest.param("loky", marks=pytest.mark.slow)]
)  # multiprocessing forks
def test_a_search_runs_in_two_processes_or_threads(backend):
    search = GridSearchCV(quick(), {"hidden_layer_sizes": [(8,), (32,)]}, cv=2)
    alone = GridSearchCV(quick(), {"hidden_layer_sizes": [(8,), (32,)]}, cv=2)
    with joblib.parallel_backend(backend, n_jobs=2):
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
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")  # of scikit-learn's own
@pytest.mark.parametrize("name", ["diabetes", "friedman"])
def test_regression_is_not_worse_than_scikit_learns(name):
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    else:
        X, y = make_friedman1(1000, noise=1.0, random_state=0)
    ours = cross_val_score(NetRegressor(random_state=0), X, y, cv=3).mean()
    theirs = make_pipeline(StandardScaler(), MLPRegressor(random_state=0))
    assert ours > cross_val_score(theirs, X, y, cv=3).mean() - 0.02
    assert ours > {"diabetes": 0.35, "friedman": 0.8}[name]


def test_a_table_need_not_be_scaled():
    """Times in seconds since 1970 differ by less than float32 can tell there."""
    X, y = make_blobs(200, centers=3, cluster_std=0.5, random_state=0)
    far = X * np.array([1e-6, 60.0]) + np.array([0.0, 1.6e9])
    assert quick(epochs=30).fit(far, y).score(far, y) == quick(epochs=30).fit(X, y).score(X, y) >= 0.97
    integers = np.round(far * np.array([1e9, 1.0])).astype(np.int64)
    assert quick(epochs=30).fit(integers, y).score(integers, y) >= 0.97


def test_what_standardises_is_known():
    X, y = X_IRIS[:, :3], X_IRIS[:, 3]
    regressor = NetRegressor(epochs=2, random_state=0).fit(X, y)
    np.testing.assert_allclose(regressor.mean_, X.mean(axis=0))
    np.testing.assert_allclose(regressor.scale_, X.std(axis=0))
    outputs = training.predict(regressor.network_, ((X - regressor.mean_) / regressor.scale_).astype(np.float32))
    expected = regressor.target_mean_ + regressor.target_scale_ * outputs
    np.testing.assert_allclose(regressor.predict(X), expected[:, 0], rtol=1e-5)
    plain = NetRegressor(epochs=2, standardize=False, random_state=0).fit(X, y)
    outputs = training.predict(plain.network_, X.astype(np.float32))
    np.testing.assert_allclose(plain.predict(X), outputs[:, 0], rtol=1e-5)


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
    state = np.random.RandomState(0)
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
