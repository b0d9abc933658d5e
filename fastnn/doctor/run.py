"""`diagnose`: all examinations, and a trial."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _arguments, _check, _several, nn
from fastnn.doctor._criteria import ignored_label, is_of_classes
from fastnn.doctor._kept import kept
from fastnn.doctor._samples import Sample, floats_of, take_sample
from fastnn.doctor._steps import Activations
from fastnn.doctor.examine_activations import dead_shares, examine_activations
from fastnn.doctor.examine_gradients import examine_gradients, examine_updates, examine_weights
from fastnn.doctor.examine_inputs import examine_inputs, examine_pair
from fastnn.doctor.examine_labels import entropy, examine_labels, examine_order
from fastnn.doctor.examine_loss import (
    AT_CHANCE,
    STANDS_STILL,
    Gap,
    examine_gap,
    examine_probe,
    examine_rate,
    is_stuck,
    stuck_at_chance,
)
from fastnn.doctor.examine_optimizer import examine_optimizer, is_scheduled, learning_rate
from fastnn.doctor.examine_outputs import examine_modes, examine_outputs, last_operation
from fastnn.doctor.findings import Diagnosis, Finding, Record
from fastnn.doctor.probe import Probe, probe_labels
from fastnn.doctor.range_test import default_optimizer, run_range_test
from fastnn.doctor.trial import Trial, loss_on, run_trial, scaled
from fastnn.training._arguments import check_criterion, check_loader
from fastnn.training.metrics import accuracy

__all__ = ["STEPS", "begins_with_norm", "diagnose"]

# Of the trial: enough to tell a loss that falls from one that does not, in a time that one does not mind.
STEPS = 50
# Of the range test: seven powers of ten, about eight steps each.
RANGE_STEPS = 60
RANGE = (1e-6, 10.0)
# Of a batch that is run for its outputs and modes; more would not tell more.
LOOKED_AT = 32


def diagnose(
    model: nn.Module,
    loader: Any,
    criterion: Any = None,
    *,
    optimizer: Any = None,
    val_loader: Any = None,
    steps: int = STEPS,
) -> Diagnosis:
    """Examine a training before it runs, or a network that does not learn, and name the causes of trouble.

    It looks at the inputs and labels of the first 4096 images, at what the network gives and whether that suits the
    loss, at the optimiser's parameters, and trains some steps on trial: gradients, updates and activations layer by
    layer, and how the loss moves. Where it hardly moves, or rises, trials with other learning rates and a range test
    tell whether the learning rate is the cause. A linear classifier on random features tells whether labels have to do
    with their images.

    Afterwards the weights, running statistics, gradients and modes of the network, the state and settings of the
    optimiser, the position of the loaders, and the random numbers of fastnn, NumPy and Python are as they were, bit for
    bit, also after an exception or an interruption.

    It takes about `steps` training steps, and with a suspicious learning rate up to ten times as many.

    Args:
        model: the network; freshly made, or trained.
        loader: gives (x, targets), as for a `Trainer`, and can be gone through more than once.
        criterion: see `Trainer`; cross-entropy if None.
        optimizer: of the model's parameters; that of `training.fit` if None.
        val_loader: validation images, to compare with.
        steps: of the trial.
    Returns:
        A `Diagnosis`: it prints as a list of findings, each with evidence in numbers, the likely cause and what to try.
    Raises:
        TypeError, ValueError: an argument is not what it should be, or a loader gives no batches.
    Example:
        >>> import fastnn
        >>> from fastnn import data, optim
        >>> fastnn.manual_seed(0)
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(1))
        >>> loader = data.Loader(data.Shapes32(512), batch_size=64, shuffle=True, mean=0.45, std=0.16)
        >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
        >>> diagnosis = fastnn.diagnose(model, loader, optimizer=optimizer, steps=10)
        >>> diagnosis.healthy, "softmax_before_cross_entropy" in diagnosis.names
        (False, True)
        >>> diagnosis["softmax_before_cross_entropy"].cause
        'the network ends in softmax, and the loss applies softmax again'
    """
    name = "diagnose"
    _arguments.model(name, "model", model)
    check_criterion(name, criterion)
    check_loader(name, "loader", loader)
    if val_loader is not None:
        check_loader(name, "val_loader", val_loader)
    steps = _check.integer(name, "steps", steps, 1)
    if optimizer is not None and (isinstance(optimizer, type) or not hasattr(optimizer, "param_groups")):
        raise TypeError(f"{name}: optimizer must be one of fastnn.optim. Received: {_check.shown(optimizer)}")
    for label, given in (("loader", loader), ("val_loader", val_loader)):
        if hasattr(given, "__next__"):
            raise TypeError(f"{name}: {label} can be gone through only once; give a list of batches or a data.Loader")
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    if optimizer is None and any(True for _ in model.parameters()):
        optimizer = default_optimizer(model)
    loaders = [one for one in (loader, val_loader) if one is not None]
    with kept(model, criterion, optimizer, loaders):
        return _Examination(model, loader, criterion, optimizer, val_loader, steps).run()


@dataclass
class _Examination:
    model: nn.Module
    loader: Any
    criterion: Any
    optimizer: Any
    val_loader: Any
    steps: int

    def run(self) -> Diagnosis:
        """All findings; what is certainly wrong with the data ends it, since no step could be made."""
        model, criterion = self.model, self.criterion
        train = take_sample("diagnose", "loader", self.loader)
        val = None if self.val_loader is None else take_sample("diagnose", "val_loader", self.val_loader)
        findings = self._of_data(train, val)
        findings += [] if self.optimizer is None else examine_optimizer(model, self.optimizer)
        examined = f"{train.images} images"
        if any(finding.name == "non_finite_inputs" for finding in findings):
            return Diagnosis(findings, examined=examined)
        x, _ = train.batches[0]
        few = _several.mapped(lambda part: part[:LOOKED_AT], x)
        with np.errstate(all="ignore"), kept(model, None, None):
            model.eval()
            last, outputs = last_operation(model, few)
            findings += examine_outputs(outputs, criterion, last)
            if (_several.first_length(few) or 0) > 1:
                findings += examine_modes(model, few)
        classes = self._classes(outputs)
        if classes:
            for sample in (train, val):
                if sample is not None:
                    findings += examine_labels(sample, classes, ignored_label(criterion))
        if any(f.name in ("labels_off_by_one", "output_width") and f.severity == "error" for f in findings):
            return Diagnosis(findings, examined=examined)
        can_step = self.optimizer is not None and all(
            finding.name not in ("all_frozen", "optimizer_of_another_model") for finding in findings
        )
        if not can_step:
            return Diagnosis(findings, examined=examined)
        unit = self._unit(train, classes)
        more, record = self._of_trial(train, val, classes, unit)
        return Diagnosis([*findings, *more], record, f"{examined}, {self.steps} steps on trial")

    # ---- data --------------------------------------------------------------------------------------------------------
    def _of_data(self, train: Sample, val: Sample | None) -> list[Finding]:
        normalises = begins_with_norm(self.model)
        findings = [*examine_inputs(train, normalises), *examine_order(train)]
        if val is not None:
            # What holds for both is said once.
            known = {finding.name for finding in findings}
            findings += [f for f in examine_inputs(val, normalises) if f.name not in known]
            findings += examine_pair(train, val)
        return findings

    def _classes(self, outputs: Any) -> int:
        """The number of classes, or 0."""
        is_scores = isinstance(outputs, np.ndarray) and outputs.ndim >= 2
        return outputs.shape[1] if is_scores and is_of_classes(self.criterion) else 0

    def _unit(self, train: Sample, classes: int) -> float | None:
        """The loss of a network that knows nothing of the images."""
        if getattr(self.criterion, "reduction", "mean") != "mean":
            return None
        if classes > 1 and train.labels is not None and type(self.criterion).__name__ != "MultiMarginLoss":
            return entropy(train.labels, classes) or None
        if isinstance(self.criterion, nn.MSELoss):
            return train.variance or None
        return None

    # ---- the trial ---------------------------------------------------------------------------------------------------
    def _of_trial(
        self, train: Sample, val: Sample | None, classes: int, unit: float | None
    ) -> tuple[list[Finding], Record]:
        model, criterion, optimizer, steps = self.model, self.criterion, self.optimizer, self.steps
        probe = train.batches
        scheduled, lr = is_scheduled(optimizer), learning_rate(optimizer)
        gap = None if val is None else _gap(model, criterion, train, val)
        seen = Activations(model)
        with kept(model, criterion, optimizer, [self.loader]):
            trial = run_trial("diagnose", model, criterion, optimizer, self.loader, steps, probe, seen)
            findings = examine_gradients(model, trial.record, unit)
            findings += examine_updates(trial.record, scheduled) if not trial.diverged else []
            if not trial.diverged:
                findings += examine_activations(seen)
            findings += examine_weights(model, None, None, after=True)
            after = None if val is None else _gap(model, criterion, train, val)
        first = train.square if isinstance(criterion, nn.MSELoss) else unit
        findings += examine_weights(model, trial.start, first, after=False)
        trial.record.dead_units = dead_shares(seen)

        def again(factor: float, n: int) -> Trial:
            with kept(model, criterion, optimizer, [self.loader]), scaled(optimizer, factor):
                return run_trial("diagnose", model, criterion, optimizer, self.loader, n, probe)

        def suggest() -> float | None:
            arguments = model, self.loader, criterion, optimizer, *RANGE, RANGE_STEPS
            return run_range_test("diagnose", *arguments).suggestion

        labels = _probe(train) if classes > 1 else None
        meaningless = [] if labels is None else examine_probe(labels, _learns(trial, after, labels))
        findings += meaningless
        if not meaningless:  # else no learning rate would help
            findings += examine_rate(trial, lr, unit, steps, scheduled, again, suggest)
        if classes > 1 and unit is not None and is_stuck(trial, unit) and not scheduled:
            findings.append(stuck_at_chance(trial, unit, classes, steps))
        if gap is not None:
            findings += examine_gap(gap)
        return findings, trial.record


def _learns(trial: Trial, after: Gap | None, probe: Probe) -> bool:
    """Whether the network knows more than chance of validation images, or without these, whether its loss fell."""
    if after is not None and math.isfinite(after.val_accuracy):
        error = math.sqrt(probe.chance * (1 - probe.chance) / max(after.images, 1))
        return after.val_accuracy > probe.chance + 2 * AT_CHANCE * error
    return trial.decrease > 2 * STANDS_STILL or after is not None


def begins_with_norm(model: nn.Module) -> bool:
    """Whether the first layer that does something is a normalisation."""
    leaves = [module for module in model.modules() if not module._modules]
    names = [type(module).__name__ for module in leaves]
    first = next((name for name in names if name not in ("Flatten", "Identity")), "")
    return "Norm" in first


def _probe(train: Sample) -> Probe | None:
    if train.images_of_set is not None and train.labels_of_set is not None:
        return probe_labels(train.images_of_set, train.labels_of_set)
    parts = [(floats_of(x), y) for x, y in train.batches]
    is_usable = train.order is not None and all(x is not None for x, _ in parts)
    if not is_usable or len({x.shape[1:] for x, _ in parts if x is not None}) != 1:
        return None
    images = np.concatenate([x for x, _ in parts if x is not None])
    return probe_labels(images, np.concatenate([y for _, y in parts]))


def _gap(model: nn.Module, criterion: Any, train: Sample, val: Sample) -> Gap:
    """Losses and accuracies of both in eval mode."""
    train_loss, val_loss = (
        loss_on("diagnose", model, criterion, sample.batches, training=False) for sample in (train, val)
    )
    gap = Gap(train_loss, val_loss)
    if is_of_classes(criterion) and train.order is not None and val.order is not None:
        shares = [_accuracy(model, sample) for sample in (train, val)]
        gap.train_accuracy, gap.val_accuracy = (hits / max(n, 1) for hits, n in shares)
        gap.images = min(n for _, n in shares)
    return gap


def _accuracy(model: nn.Module, sample: Sample) -> tuple[int, int]:
    from fastnn.training.evaluate import eval_mode, predict

    hits = n = 0
    with eval_mode(model), np.errstate(all="ignore"):
        for x, y in sample.batches:
            right, counted = accuracy(predict(model, x), y)
            hits, n = hits + right, n + counted
    return hits, n
