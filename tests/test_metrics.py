"""What is measured of batches: the criterion's own mean, accuracy where it has a meaning, metrics of one's own."""

import math

import numpy as np
import pytest
from small_training import Batches, network

from fastnn import nn, optim, training
from fastnn.training.metrics import Meter, targets_are_classes


def by_hand(n, classes=6, seed=0):
    """Logits whose labels stand at ranks 0, 1, 2, ...: label i is at rank i % classes."""
    logits = np.zeros((n, classes), np.float32)
    rng = np.random.default_rng(seed)
    labels = np.empty(n, np.int64)
    for i in range(n):
        order = rng.permutation(classes)
        logits[i, order] = np.arange(classes)[::-1]
        labels[i] = order[i % classes]
    return logits, labels


# ---- hits ------------------------------------------------------------------------------------------------------------
def test_top_k_hits_count_ranks():
    logits, labels = by_hand(7)  # ranks 0 to 5, and 0 again
    assert [training.top_k_hits(logits, labels, k) for k in (1, 2, 3, 4, 5, 6)] == [2, 3, 4, 5, 6, 7]


def test_accuracy_and_top5_differ_from_top4_and_from_each_other():
    logits, labels = by_hand(6)
    assert training.accuracy(logits, labels) == (1, 6)
    assert training.top5_accuracy(logits, labels) == (5, 6)


@pytest.mark.parametrize("ignored", [-1, -100])
def test_top_k_hits_leave_out_labels_that_are_no_class(ignored):
    logits = np.eye(4, 5, dtype=np.float32)
    assert training.top_k_hits(logits, np.array([0, 1, ignored, ignored])) == 2
    assert training.accuracy(logits, np.array([0, 0, ignored, 3])) == (2, 3)


def test_accuracy_leaves_out_the_index_that_is_ignored():
    logits = np.eye(4, dtype=np.float32)
    assert training.accuracy(logits, np.array([3, 1, 2, 3]), ignore_index=3) == (2, 2)
    assert training.accuracy(logits, np.array([255, 1, 0, 255]), ignore_index=255) == (1, 2)
    with pytest.raises(ValueError, match=r"accuracy: labels must lie in \[0, 4\). Received: 255"):
        training.accuracy(logits, np.array([255, 1, 0, 255]))


def test_accuracy_counts_every_pixel_of_a_segmentation(rng):
    logits = rng.standard_normal((2, 3, 4, 5))
    labels = rng.integers(0, 3, (2, 4, 5))
    labels[0, :2] = -100
    counted = labels >= 0
    assert training.accuracy(logits, labels) == ((logits.argmax(1) == labels)[counted].sum(), 30)


def test_top_k_hits_of_shapes_that_do_not_fit_name_them():
    for labels in (np.zeros(3, np.int64), np.zeros((2, 1), np.int64), np.zeros((2, 3, 4)), np.zeros(2), [[0], [1, 2]]):
        with pytest.raises(ValueError, match=r"top_k_hits: labels must be integers|inhomogeneous"):
            training.top_k_hits(np.zeros((2, 3)), labels)
    with pytest.raises(ValueError, match="logits must be numbers"):
        training.top_k_hits(np.zeros(3), np.zeros(3, np.int64))


def test_binary_accuracy_and_mean_absolute_error_by_hand():
    outputs = np.array([[0.2, -3.0], [0.6, 0.4]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert training.binary_accuracy(outputs, targets) == (3, 4)
    assert training.binary_accuracy(outputs, targets, threshold=0.5) == (1, 4)
    total, count = training.mean_absolute_error(outputs, targets)
    assert (total, count) == (pytest.approx(0.8 + 3 + 0.6 + 0.6), 4)
    for metric in (training.binary_accuracy, training.mean_absolute_error):
        with pytest.raises(ValueError, match=metric.__name__):
            metric(np.zeros((2, 1)), np.zeros(2))


# ---- the loss of many batches is that of all as one ------------------------------------------------------------------
weight = np.array([0.2, 3.0, 1.0, 0.5], np.float32)
labelled = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(label_smoothing=0.3),
    nn.CrossEntropyLoss(weight=weight),
    nn.CrossEntropyLoss(ignore_index=2),
    nn.CrossEntropyLoss(weight=weight, ignore_index=1),
    nn.NLLLoss(weight=weight),
    nn.NLLLoss(ignore_index=0),
    nn.MultiMarginLoss(weight=weight),
    nn.FocalLoss(alpha=weight),
]
elementwise = [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCEWithLogitsLoss(), nn.BCELoss()]


@pytest.mark.parametrize("criterion", labelled, ids=repr)
def test_evaluate_loss_of_batches_is_the_criterions_on_all_labels(criterion, rng):
    x, y = rng.standard_normal((11, 4)).astype(np.float32), rng.integers(0, 4, 11)
    batches = [(x[:5], y[:5]), (x[5:6], y[5:6]), (x[6:], y[6:])]
    assert training.evaluate(nn.Identity(), batches, criterion).loss == pytest.approx(criterion(x, y), rel=1e-5)


@pytest.mark.parametrize("criterion", elementwise, ids=repr)
@pytest.mark.parametrize("shape", [(11,), (11, 1), (11, 3), (11, 2, 3, 3)])
def test_evaluate_loss_of_batches_is_the_criterions_on_all_elements(criterion, shape, rng):
    x, y = rng.uniform(0.1, 0.9, shape).astype(np.float32), rng.integers(0, 2, shape).astype(np.float32)
    result = training.evaluate(nn.Identity(), [(x[:5], y[:5]), (x[5:], y[5:])], criterion)
    assert result.loss == pytest.approx(criterion(x, y), rel=1e-5)
    assert math.isnan(result.accuracy)
    assert math.isnan(result.top5)
    assert (result.images, result.metrics) == (11, {})


def test_evaluate_weights_batches_of_different_image_sizes_by_their_elements(rng):
    large, small = rng.standard_normal((1, 1, 8, 8)), rng.standard_normal((1, 1, 2, 2))
    both = np.concatenate([large.ravel(), small.ravel()])
    batches = [(large, np.zeros_like(large)), (small, np.zeros_like(small))]
    assert training.evaluate(nn.Identity(), batches, nn.MSELoss()).loss == pytest.approx((both**2).mean())


def test_evaluate_with_probabilities_weights_rows(rng):
    x, q = rng.standard_normal((9, 4)), rng.dirichlet(np.ones(4), 9)
    result = training.evaluate(nn.Identity(), [(x[:2], q[:2]), (x[2:], q[2:])], nn.CrossEntropyLoss(weight=weight))
    assert result.loss == pytest.approx(nn.CrossEntropyLoss(weight=weight)(x, q))
    assert result.accuracy == (x.argmax(1) == q.argmax(1)).mean()


def test_evaluate_with_a_summed_loss_reports_it_per_image(rng):
    x, y = rng.standard_normal((9, 4)), rng.integers(0, 4, 9)
    batches = [(x[:2], y[:2]), (x[2:], y[2:])]
    result = training.evaluate(nn.Identity(), batches, nn.CrossEntropyLoss(reduction="sum"))
    assert result.loss == pytest.approx(nn.CrossEntropyLoss()(x, y))


def test_evaluate_ignores_ignored_labels_in_everything(rng):
    x, y = rng.standard_normal((12, 7)), rng.integers(0, 7, 12)
    y[[0, 1, 2, 3, 5, 9]] = -100
    batches = [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[8:], y[8:])]  # the first has nothing that counts
    result = training.evaluate(nn.Identity(), batches)
    kept = y >= 0
    assert result.loss == pytest.approx(nn.CrossEntropyLoss()(x[kept], y[kept]))
    assert result.accuracy == (x[kept].argmax(1) == y[kept]).mean()
    assert result.top5 == training.top_k_hits(x[kept], y[kept], 5) / 6
    assert result.images == 12


def test_evaluate_puts_the_criterion_into_eval_mode_too():
    class Noisy(nn.MSELoss):
        def forward(self, input, target):
            return super().forward(input, target) + 100 * self.training

    criterion = Noisy()
    assert training.evaluate(nn.Identity(), [(np.ones((2, 1)), np.ones((2, 1)))], criterion).loss == 0
    assert criterion.training


def test_evaluate_of_a_loss_that_is_no_number_says_what_to_do():
    batch = np.eye(3), np.arange(3)
    with pytest.raises(ValueError, match=r"CrossEntropyLoss gives one loss for each element.*reduction='mean'"):
        training.evaluate(nn.Identity(), [batch], nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(TypeError, match=r"must return a number\. Received: None"):
        training.evaluate(nn.Identity(), [batch], lambda outputs, targets: None)
    with pytest.raises(TypeError, match=r"criterion is the class MSELoss; make one: MSELoss\(\)"):
        training.evaluate(nn.Identity(), [batch], nn.MSELoss)


# ---- what targets are ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("criterion", [*labelled[:1], nn.NLLLoss(), nn.MultiMarginLoss(), nn.FocalLoss()], ids=repr)
def test_targets_of_classification_losses_are_classes(criterion):
    assert targets_are_classes(criterion, np.zeros((2, 3)), np.zeros(2, np.int64))


@pytest.mark.parametrize("criterion", elementwise, ids=repr)
def test_targets_of_other_losses_are_no_classes_even_if_they_look_like_them(criterion):
    assert not targets_are_classes(criterion, np.zeros((2, 3)), np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        (np.zeros((4, 3)), np.zeros(4, np.int64), True),
        (np.zeros((4, 3)), np.zeros(4, np.uint8), True),
        (np.zeros((4, 3, 5)), np.zeros((4, 5), np.int64), True),
        (np.zeros((4, 1)), np.zeros(4, np.int64), False),
        (np.zeros(4), np.zeros(4, np.int64), False),
        (np.zeros((4, 3)), np.zeros(4), False),
        (np.zeros((4, 3)), np.zeros((4, 3), np.int64), False),
        (np.zeros((4, 3)), np.zeros(4, bool), False),
    ],
)
def test_targets_of_an_unknown_loss_are_classes_if_they_are_integers_for_scores(outputs, targets, expected):
    assert targets_are_classes(lambda outputs, targets: 0.0, outputs, targets) is expected


# ---- metrics of one's own --------------------------------------------------------------------------------------------
def test_metrics_of_different_batches_are_weighted_with_images_or_with_their_counts():
    def largest(outputs, targets):
        return float(outputs.max())

    def share(outputs, targets):
        return int((outputs > 1).sum()), outputs.size

    batches = [(np.full((3, 2), 2.0), np.zeros((3, 2))), (np.full((1, 2), 1.0), np.zeros((1, 2)))]
    result = training.evaluate(nn.Identity(), batches, nn.MSELoss(), metrics=[largest, share])
    assert result.metrics == {"largest": (3 * 2 + 1) / 4, "share": 6 / 8}


def test_metrics_of_ones_own_stand_beside_accuracy_and_may_replace_it():
    batch = np.eye(4), np.array([0, 1, 0, 0])
    metrics = {"zero": lambda outputs, targets: 0, "accuracy": lambda outputs, targets: np.float32(0.125)}
    result = training.evaluate(nn.Identity(), [batch], metrics=metrics)
    assert result.metrics == {"accuracy": 0.125, "top5": 1.0, "zero": 0.0}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"a": 1}, "a metric is a name and a function"),
        ({1: abs}, "a metric is a name and a function"),
        ({"two words": abs}, "a metric is a name and a function"),
        ([lambda y, t: 0], "a metric is a name and a function"),
        ("accuracy", "metrics must be a dict of functions"),
        (abs, "metrics must be a dict of functions"),
        ([training.accuracy, training.accuracy], "two metrics named 'accuracy'"),
        ({"loss": training.accuracy}, "two metrics named 'loss'"),
    ],
)
def test_metrics_that_are_none_are_refused_at_once(metrics, words):
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for call in (
        lambda: training.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=metrics),
        lambda: training.evaluate(model, Batches(1), metrics=metrics),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()


@pytest.mark.parametrize("value", [None, "a", [1.0], np.ones(2), True, 1j])
def test_metrics_that_give_no_number_are_named(value):
    with pytest.raises(TypeError, match="metric odd: a number, or a pair"):
        training.evaluate(nn.Identity(), [(np.eye(2), np.arange(2))], metrics={"odd": lambda outputs, targets: value})


def test_meter_state_goes_on_in_the_middle():
    logits, labels = by_hand(12)
    whole, first = (Meter({"mean": lambda y, t: float(y.mean())}) for _ in range(2))
    for part in (slice(0, 7), slice(7, 12)):
        whole.update(1.5 + part.start, logits[part], labels[part])
    first.update(1.5, logits[:7], labels[:7])
    second = Meter({"mean": lambda y, t: float(y.mean())})
    second.load_state_dict(first.state_dict())
    second.update(8.5, logits[7:], labels[7:])
    assert second.state_dict() == whole.state_dict()
    assert whole.loss == (1.5 * 7 + 8.5 * 5) / 12
    assert (whole.accuracy, whole.top5, whole.images) == (2 / 12, 10 / 12, 12)
    assert whole.values()["mean"] == 2.5


def test_meter_state_is_not_changed_by_what_follows():
    logits, labels = by_hand(6)
    meter = Meter()
    meter.update(1.0, logits, labels)
    state = meter.state_dict()
    copy = {"images": 6, "loss": [6.0, 6.0], "sums": {"accuracy": [1.0, 6.0], "top5": [5.0, 6.0]}}
    assert state == copy
    other = Meter()
    other.load_state_dict(state)
    for one in (meter, other):
        one.update(1.0, logits, labels)
    assert state == copy
