"""Each finding of the doctor, on the smallest thing that has it, and on one that has not."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim
from fastnn import functional as F
from fastnn.doctor import Record
from fastnn.doctor._criteria import wants
from fastnn.doctor._samples import take_sample
from fastnn.doctor._steps import Activations, Weights
from fastnn.doctor.examine_activations import examine_activations
from fastnn.doctor.examine_gradients import examine_gradients, examine_updates, examine_weights
from fastnn.doctor.examine_inputs import examine_inputs, examine_pair
from fastnn.doctor.examine_labels import entropy, examine_labels, examine_order
from fastnn.doctor.examine_loss import Gap, examine_gap, examine_probe
from fastnn.doctor.examine_optimizer import examine_optimizer
from fastnn.doctor.examine_outputs import examine_modes, examine_outputs, last_operation
from fastnn.doctor.probe import Probe, probe_labels
from fastnn.doctor.trial import look_at


def names(findings, *severities):
    return [f.name for f in findings if f.severity in (severities or ("error", "warning"))]


def inputs(rng, n=256, features=32, mean=0.0, std=1.0):
    return rng.normal(mean, std, (n, features)).astype(np.float32)


def sample_of(x, y=None, name="loader"):
    return take_sample("test", name, [(x, np.zeros(len(x), np.int64) if y is None else y)])


# ---- inputs ----------------------------------------------------------------------------------------------------------
def test_inputs_of_mean_0_and_variance_1_are_right(rng):
    assert examine_inputs(sample_of(inputs(rng))) == []


def test_bytes_that_were_not_divided_are_named(rng):
    x = rng.integers(0, 256, (64, 3, 8, 8)).astype(np.float32)
    (found,) = examine_inputs(sample_of(x))
    assert (found.name, found.severity) == ("input_range", "warning")
    assert "bytes" in found.cause
    assert "0..255" in found.evidence


def test_features_in_thousands_are_named_but_are_no_bytes(rng):
    (found,) = examine_inputs(sample_of(inputs(rng, mean=5000, std=1000)))
    assert found.name == "input_range"
    assert "bytes" not in found.cause


def test_scale_is_a_note_before_a_normalisation(rng):
    assert names(examine_inputs(sample_of(inputs(rng, std=100)), normalises=True), "note") == ["input_range"]


@pytest.mark.parametrize(("mean", "severity"), [(0.5, None), (2.0, "note"), (5.0, "warning")])
def test_inputs_far_from_mean_0_are_named(rng, mean, severity):
    found = [(f.name, f.severity) for f in examine_inputs(sample_of(inputs(rng, mean=mean)))]
    assert found == ([] if severity is None else [("inputs_not_centred", severity)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_named_and_counted(rng, value):
    x = inputs(rng)
    x[3, 4] = x[7, 0] = value
    (found,) = examine_inputs(sample_of(x))
    assert (found.name, found.severity) == ("non_finite_inputs", "error")
    assert "2 of 256" in found.evidence


def test_constant_and_duplicate_inputs_are_named(rng):
    x = inputs(rng)
    x[:200] = 0.25
    assert names(examine_inputs(sample_of(x))) == ["constant_inputs", "duplicate_inputs"]
    x[:200] = x[201]
    assert names(examine_inputs(sample_of(x))) == ["duplicate_inputs"]


def test_some_duplicates_are_a_note_and_those_of_few_features_are_nothing(rng):
    x = inputs(rng)
    x[:20] = x[100]
    assert names(examine_inputs(sample_of(x)), "note") == ["duplicate_inputs"]
    assert examine_inputs(sample_of(rng.integers(0, 2, (256, 4)).astype(np.float32) * 2 - 1)) == []


def test_loaders_that_normalise_differently_are_named(rng):
    train, other = (data.Loader(rng.integers(0, 256, (n, 3, 8, 8)).astype(np.uint8), np.zeros(n, int), mean=mean,
                                std=std) for n, mean, std in ((128, 0.5, 0.29), (64, 0.0, 1.0)))  # fmt: skip
    samples = [take_sample("test", name, loader) for name, loader in (("loader", train), ("val_loader", other))]
    (found,) = examine_pair(*samples)
    assert (found.name, found.where) == ("normalised_differently", "val_loader")


def test_few_validation_images_do_not_count_as_normalised_differently(rng):
    assert examine_pair(sample_of(inputs(rng)), sample_of(inputs(rng, n=4), name="val_loader")) == []


def test_a_network_with_one_image_less_contrast_is_still_named(rng):
    found = examine_pair(sample_of(inputs(rng)), sample_of(inputs(rng, std=0.25)))
    assert names(found) == ["normalised_differently"]


def test_validation_images_among_the_training_images_are_counted(rng):
    x, other = inputs(rng), inputs(rng)
    other[:30] = x[50:80]
    (found,) = examine_pair(sample_of(x), sample_of(other, name="val_loader"))
    assert found.name == "validation_overlaps_training"
    assert "30 of 256" in found.evidence


def test_images_are_compared_before_augmentation():
    shapes = data.Shapes32(200)
    train = data.Loader(shapes, augment=data.RandomCrop(4), shuffle=True)
    val = data.Loader(shapes.subset(slice(0, 100)))
    found = examine_pair(take_sample("test", "loader", train), take_sample("test", "val_loader", val))
    assert "100 of 100" in found[0].evidence


# ---- labels ----------------------------------------------------------------------------------------------------------
def labels_found(labels, classes):
    labels = np.asarray(labels)
    return examine_labels(sample_of(np.zeros((len(labels), 2), np.float32), labels), classes)


def test_labels_counted_from_1_are_named(rng):
    labels = rng.integers(1, 11, 1000)
    (found,) = labels_found(labels, 10)
    assert (found.name, found.severity) == ("labels_off_by_one", "error")
    (found,) = labels_found(labels, 11)
    assert (found.name, found.severity) == ("labels_off_by_one", "warning")


def test_labels_counted_from_0_are_right(rng):
    assert labels_found(rng.integers(0, 10, 1000), 10) == []


def test_few_labels_say_nothing_about_missing_classes():
    assert labels_found([1, 2, 3], 4) == []


def test_a_last_layer_that_is_too_wide_or_too_narrow_is_named(rng):
    assert names(labels_found(rng.integers(0, 10, 3000), 20)) == ["output_width"]
    assert names(labels_found(rng.integers(0, 10, 1000), 5)) == ["output_width"]
    assert names(labels_found(rng.integers(-1, 10, 1000), 10)) == ["output_width"]


def test_ignored_labels_are_no_classes(rng):
    labels = rng.integers(0, 4, 400)
    labels[:10] = -100
    assert labels_found(labels, 4) == []


def test_a_class_that_never_occurs_is_named(rng):
    labels = rng.integers(0, 9, 2000)
    labels[labels >= 4] += 1
    (found,) = labels_found(labels, 10)
    assert found.name == "class_never_occurs"
    assert found.evidence.endswith(": 4")


def test_class_imbalance_is_named_from_one_to_ten():
    assert names(labels_found(np.repeat([0, 1], [900, 90]), 2)) == ["class_imbalance"]
    assert labels_found(np.repeat([0, 1], [900, 300]), 2) == []


def test_sorted_labels_are_named_and_shuffled_ones_are_not(rng):
    ordered = np.repeat(np.arange(10), 100)
    x = np.zeros((1000, 2), np.float32)
    assert names(examine_order(sample_of(x, ordered))) == ["labels_in_order"]
    assert examine_order(sample_of(x, rng.permutation(ordered))) == []
    assert examine_order(sample_of(x, np.zeros(1000, int))) == []


def test_entropy_is_ln_c_of_balanced_labels():
    assert entropy(np.arange(10), 10) == pytest.approx(math.log(10))
    assert entropy(np.zeros(5, int), 2) == 0


# ---- outputs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("last", "criterion", "expected"),
    [
        (nn.Softmax(1), nn.CrossEntropyLoss(), ["softmax_before_cross_entropy"]),
        (nn.Softmax(1), F.cross_entropy, ["softmax_before_cross_entropy"]),
        (nn.Sigmoid(), nn.CrossEntropyLoss(), ["activation_before_cross_entropy"]),
        (nn.ReLU(), nn.CrossEntropyLoss(), ["activation_before_cross_entropy"]),
        (nn.Identity(), nn.CrossEntropyLoss(), []),
        (nn.LogSoftmax(1), nn.CrossEntropyLoss(), []),  # its logarithm of softmax changes nothing
        (nn.Identity(), nn.NLLLoss(), ["log_softmax_missing"]),
        (nn.Softmax(1), nn.NLLLoss(), ["log_softmax_missing"]),
        (nn.LogSoftmax(1), nn.NLLLoss(), []),
        (nn.Sigmoid(), nn.BCEWithLogitsLoss(), ["activation_before_cross_entropy"]),
        (nn.Identity(), nn.BCEWithLogitsLoss(), []),
        (nn.Sigmoid(), nn.BCELoss(), []),
        (nn.Softmax(1), nn.MSELoss(), []),
    ],
)
def test_what_stands_between_scores_and_loss_is_named(rng, last, criterion, expected):
    fastnn.manual_seed(0)
    name, outputs = last_operation(nn.Sequential(nn.Linear(32, 5), last), inputs(rng))
    assert names(examine_outputs(outputs, criterion, name)) == expected


def test_one_output_for_cross_entropy_is_named(rng):
    assert names(examine_outputs(inputs(rng, features=1), nn.CrossEntropyLoss())) == ["output_width"]


def test_a_loss_of_ones_own_wants_nothing_that_is_known():
    assert wants(lambda y, t: 0.0) == ""
    assert wants(nn.MSELoss()) == ""


class _Stubborn(nn.Sequential):
    """eval() and train() change nothing."""

    def train(self, mode=True):
        return self


def test_batch_norm_that_eval_does_not_reach_is_named(rng):
    x = inputs(rng)
    layers = nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
    assert examine_modes(nn.Sequential(*layers), x) == []
    (found,) = examine_modes(_Stubborn(*layers), x)
    assert (found.name, found.where) == ("batch_norm_mode", "1")


def test_batch_norm_without_running_statistics_is_named(rng):
    model = nn.Sequential(nn.Linear(32, 8), nn.BatchNorm1d(8, track_running_stats=False))
    assert names(examine_modes(model, inputs(rng))) == ["batch_norm_mode"]


def test_dropout_at_test_time_is_named(rng):
    (found,) = examine_modes(_Stubborn(nn.Linear(32, 8), nn.Dropout(0.5)), inputs(rng))
    assert (found.name, found.where) == ("random_at_test_time", "1")


def test_layers_that_stay_in_eval_mode_are_named_unless_they_are_frozen(rng):
    model = _Stubborn(nn.Linear(32, 8), nn.BatchNorm1d(8))
    model[1].training = False
    assert names(examine_modes(model, inputs(rng))) == ["eval_mode_in_training"]
    model[1].requires_grad_(False)
    assert examine_modes(model, inputs(rng)) == []


# ---- optimiser -------------------------------------------------------------------------------------------------------
def test_the_optimiser_of_another_network_is_named():
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    assert names(examine_optimizer(model, optim.SGD(other.parameters(), lr=0.1))) == ["optimizer_of_another_model"]
    assert examine_optimizer(model, optim.SGD(model.parameters(), lr=0.1)) == []


def test_parameters_that_the_optimiser_does_not_have_are_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    (found,) = examine_optimizer(model, optim.SGD(model[0].parameters(), lr=0.1))
    assert (found.name, found.where) == ("parameters_not_in_optimizer", "1")
    model[1].requires_grad_(False)
    assert names(examine_optimizer(model, optim.SGD(model[0].parameters(), lr=0.1)), "note") == ["frozen_parameters"]


def test_a_network_that_is_frozen_as_a_whole_is_named():
    model = nn.Linear(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model.requires_grad_(False)
    assert names(examine_optimizer(model, optimizer)) == ["all_frozen"]


def test_layers_in_a_plain_list_are_named():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.blocks = nn.Linear(4, 4), [nn.Linear(4, 4)]

    model = Hidden()
    (found,) = examine_optimizer(model, optim.SGD(model.parameters(), lr=0.1))
    assert (found.name, found.where) == ("hidden_layers", "blocks")


@pytest.mark.parametrize(("lr", "decay", "expected"), [(0.1, 5e-4, []), (0.1, 1.0, ["weight_decay_too_large"])])
def test_a_weight_decay_that_forgets_within_a_hundred_steps_is_named(lr, decay, expected):
    model = nn.Linear(4, 2)
    assert names(examine_optimizer(model, optim.SGD(model.parameters(), lr=lr, weight_decay=decay))) == expected


def test_a_learning_rate_of_0_is_an_error_unless_a_schedule_set_it():
    model = nn.Linear(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    assert names(examine_optimizer(model, optimizer), "error") == ["learning_rate_zero"]
    optim.StepLR(optimizer, 10)
    assert names(examine_optimizer(model, optimizer), "note") == ["learning_rate_zero"]


# ---- activations, gradients, weights ---------------------------------------------------------------------------------
def seen_in(model, x):
    seen = Activations(model)
    look_at(model, [(x, None)], seen)
    return examine_activations(seen)


def test_dead_units_are_named_by_layer(rng):
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU())
    x = inputs(rng, n=512)
    assert seen_in(model, x) == []
    model[2].bias.data[:] = -100
    (found,) = seen_in(model, x)
    assert (found.name, found.where) == ("dead_relu", "3")
    assert "100% of the 10 units" in found.evidence


def test_dead_units_are_seen_in_functions_and_in_layers_written_by_hand(rng):
    class Rectifier(nn.Module):
        def forward(self, x):
            self.positive = x > 0
            return np.where(self.positive, x, 0)

        def backward(self, dy):
            return dy * self.positive

    class Functional(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    x = inputs(rng, n=512) - 100
    for layer in (Rectifier(), Functional(F.relu), Functional(lambda x: np.maximum(x, 0))):
        assert names(seen_in(nn.Sequential(nn.Identity(), layer), x)) == ["dead_relu"]


def test_saturated_sigmoids_are_named_but_not_the_last_one(rng):
    x = inputs(rng, n=512) * 100
    assert names(seen_in(nn.Sequential(nn.Tanh(), nn.Linear(32, 2)), x)) == ["saturated_activation"]
    assert names(seen_in(nn.Sequential(nn.Sigmoid(), nn.Linear(32, 2)), x)) == ["saturated_activation"]
    assert seen_in(nn.Sequential(nn.Linear(32, 2), nn.Sigmoid()), x) == []
    assert seen_in(nn.Sequential(nn.Tanh(), nn.Linear(32, 2)), x / 100) == []


def record_of(model, x, y, criterion=None, lr=0.01):
    """The record of one step."""
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    record = Record()
    weights, optimizer = Weights(model, record), optim.SGD(model.parameters(), lr=lr)
    criterion(model(x), y)
    model.backward(criterion.backward())
    weights.before_step()
    optimizer.step()
    weights.after_step()
    return record


def deep(activation, n=8):
    layers = [layer for _ in range(n) for layer in (nn.Linear(32, 32), activation())]
    return nn.Sequential(*layers, nn.Linear(32, 10))


def test_gradients_vanish_through_many_sigmoids(rng):
    fastnn.manual_seed(0)
    x, y = inputs(rng), rng.integers(0, 10, 256)
    model = deep(nn.Sigmoid)
    (found,) = examine_gradients(model, record_of(model, x, y), math.log(10))
    assert (found.name, found.where) == ("vanishing_gradients", "0")
    good = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    assert examine_gradients(good, record_of(good, x, y), math.log(10)) == []


def test_gradients_explode_through_many_large_layers(rng):
    fastnn.manual_seed(0)
    model = deep(nn.ReLU)
    for parameter in model.parameters():
        parameter.data *= 10
    found = examine_gradients(model, record_of(model, inputs(rng), rng.integers(0, 10, 256)), math.log(10))
    assert "exploding_gradients" in names(found)


def test_layers_that_forward_does_not_use_are_named(rng):
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(32, 10), nn.Linear(32, 10)

        def forward(self, x):
            return self.used(x)

    model = Unused()
    (found,) = examine_gradients(model, record_of(model, inputs(rng), rng.integers(0, 10, 256)), None)
    assert (found.name, found.where) == ("no_gradient", "unused")


@pytest.mark.parametrize(("lr", "expected"), [(0.05, []), (1e-7, ["update_ratio_low"]), (1e4, ["update_ratio_high"])])
def test_updates_far_from_a_thousandth_of_the_weights_are_named(rng, lr, expected):
    fastnn.manual_seed(0)
    model = nn.Linear(32, 10)
    record = record_of(model, inputs(rng), rng.integers(0, 10, 256), lr=lr)
    record.update_ratios["weight"] = [1.01 * ratio for ratio in record.update_ratios["weight"]]
    assert names(examine_updates(record, scheduled=False)) == expected


def test_units_that_stay_equal_are_named():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].weight.data[...] = 0
    (found,) = examine_weights(model, None, None, after=True)
    assert (found.name, found.where) == ("equal_units", "0")


def test_weights_that_begin_too_large_are_named():
    fastnn.manual_seed(0)
    model = nn.Linear(100, 10)
    assert examine_weights(model, 2.4, math.log(10), after=False) == []
    assert names(examine_weights(model, 50.0, math.log(10), after=False)) == ["first_loss_too_large"]
    model.weight.data *= 100
    assert names(examine_weights(model, 50.0, math.log(10), after=False)) == ["weights_too_large"]


# ---- labels and images, overfitting ----------------------------------------------------------------------------------
def test_labels_that_were_shuffled_or_shifted_are_named(rng):
    shapes = data.Shapes32(1500)
    right = probe_labels(shapes.images, shapes.labels)
    assert examine_probe(right, learns=False) == []
    flat = probe_labels(shapes.images.reshape(1500, -1), shapes.labels)
    assert flat == right  # images that were flattened are seen as such
    shuffled = probe_labels(shapes.images, rng.permutation(shapes.labels))
    assert names(examine_probe(shuffled, learns=False)) == ["labels_random"]
    assert examine_probe(shuffled, learns=True) == []
    for shift in (1, -1):
        (found,) = examine_probe(probe_labels(shapes.images, np.roll(shapes.labels, shift)), learns=False)
        assert (found.name, found.severity) == ("labels_shifted", "error")


def test_few_images_are_not_probed():
    shapes = data.Shapes32(500)
    assert probe_labels(shapes.images, shapes.labels) is None


def test_the_probe_takes_features_that_are_no_images(rng):
    labels = rng.integers(0, 3, 1500)
    x = rng.standard_normal((1500, 7)) + labels[:, None]
    probe = probe_labels(x, labels)
    assert isinstance(probe, Probe)
    assert probe.accuracy > 0.6


@pytest.mark.parametrize(("val_accuracy", "expected"), [(0.9, []), (0.5, ["overfitting"])])
def test_a_gap_between_training_and_validation_is_named(val_accuracy, expected):
    assert names(examine_gap(Gap(0.01, 2.0, 0.99, val_accuracy, 500))) == expected
