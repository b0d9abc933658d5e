"""Fudan, project 2, second part: VGG-A with and without batch norm, and why batch norm helps."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import data, insight, models, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.recipe import recipe
from fastnn.data._npz import read_npz
from fastnn.training.plots import count_epochs
from fastnn.training.trainer import count_steps

LEARNING_RATES = (1e-3, 2e-3, 1e-4, 5e-4)
MAIN_RATE = LEARNING_RATES[0]  # of the curves, and of the full run
BATCH_SIZE, SEED = 128, 2020
# Along the gradient itself, not along Adam's step: half of to four times 0.1, a usual rate of plain SGD.
STEP_SIZES = (0.05, 0.1, 0.2, 0.4)
PROBES, QUICK_PROBES = 20, 8  # in each training, besides the one after the first step
ALL_IMAGES, COURSE_EPOCHS = 50_000, 20
# An epoch of the published log, in which the ratios of the band's edges that are judged are 0.70 and 0.91 by then.
JUDGED_STEPS = 390

PLAIN, NORMED = "VGG-A", "VGG-A with batch norm"
NETWORKS: dict[str, dict[str, Any]] = {
    "vgg_a": {PLAIN: models.vgg_a, NORMED: models.vgg_a_bn},
    "vgg_a_light": {PLAIN: models.vgg_a_light, NORMED: models.vgg_a_light_bn},
}

# Best validation accuracy in % of VGG-A in the course's setting: all images, 20 epochs, no augmentation. Two public
# repositories that ran it agree within 0.8 points; these are of the first.
PUBLISHED_ACCURACY = {
    PLAIN: {1e-4: 76.36, 5e-4: 78.64, 1e-3: 77.97, 2e-3: 74.19},
    NORMED: {1e-4: 75.58, 5e-4: 82.39, 1e-3: 83.04, 2e-3: 83.02},
}
# From the same log: the band of the losses of each step over the four rates.
BAND_MEASURES = ("width", "1st quarter", "2nd quarter", "3rd quarter", "4th quarter", "lower edge", "upper edge")
PUBLISHED_BAND = {
    PLAIN: (0.345, 0.401, 0.434, 0.327, 0.220, 0.321, 0.667),
    NORMED: (0.217, 0.482, 0.235, 0.086, 0.063, 0.199, 0.415),
}
# Of ||g_t - g_(t-1)|| of the last layer's weight, for each rate: median and 95th percentile.
PUBLISHED_CHANGE = {
    PLAIN: {1e-4: (0.763, 1.39), 5e-4: (0.394, 0.88), 1e-3: (0.479, 0.86), 2e-3: (0.591, 0.90)},
    NORMED: {1e-4: (0.782, 1.92), 5e-4: (0.555, 1.41), 1e-3: (0.493, 1.20), 2e-3: (0.436, 0.94)},
}
PUBLISHED_LOG = "courses/fudan_vgg_4lr_20epochs_runs.npz"

Result = dict[str, Any]


@recipe(
    "fudan-bn",
    course="Fudan, Neural Network and Deep Learning 2025, project 2",
    title="VGG-A with and without batch normalisation",
    about="Trains VGG-A with and without batch norm at four learning rates and compares their losses and how smooth "
    "their gradients are; --full adds the course's own 20 epochs on all images.",
    options=("epochs", "n_items", "model", "full"),
    version=2,
)
def fudan_bn(context: Context) -> None:
    """Train both networks at each learning rate, probe the gradient on the way, and compare."""
    model = context.option("model", "vgg_a_light" if context.quick else "vgg_a")
    if model not in NETWORKS:
        raise ValueError(f"fudan-bn: model must be one of {', '.join(NETWORKS)}. Received: {model!r}")
    n_items = context.option("n_items", 2560 if context.quick else 10_000)
    if not 1 <= n_items <= ALL_IMAGES:
        raise ValueError(f"fudan-bn: n_items must be in [1, {ALL_IMAGES}]. Received: {n_items!r}")
    epochs = context.option("epochs", 2 if context.quick else 5)
    full = context.option("full", False) and not context.quick
    train, val = _images(context, n_items)

    steps = count_steps(epochs, -(-n_items // BATCH_SIZE))
    total = _work(context, steps) * len(NETWORKS[model]) * len(LEARNING_RATES)
    if full:
        total += 2 * _work(context, COURSE_EPOCHS * -(-ALL_IMAGES // BATCH_SIZE))
    context.forecast(total, "gradients of a batch")

    runs: dict[str, dict[float, Result]] = {name: {} for name in NETWORKS[model]}
    for rate in LEARNING_RATES:
        for name, build in NETWORKS[model].items():
            key = f"{name}, learning rate {rate:g}"
            runs[name][rate] = _stage(context, key, build, rate, epochs, train, val)
            context.report.history([{"network": name, "lr": rate, **row} for row in runs[name][rate]["rows"]])

    setting = f"{model}, {n_items:,} training images, {epochs:g} epochs, {len(val):,} validation images"
    is_course = model == "vgg_a" and n_items == ALL_IMAGES and epochs == COURSE_EPOCHS
    _report_networks(context, runs, setting)
    _report_landscape(context, runs, judged=model == "vgg_a" and steps >= JUDGED_STEPS)
    _report_published_band(context)
    _report_smoothness(context, runs)
    if full and not is_course:
        train, val = _images(context, ALL_IMAGES)
        course_runs = {
            name: _stage(context, f"{name}, all images", build, MAIN_RATE, COURSE_EPOCHS, train, val)
            for name, build in NETWORKS["vgg_a"].items()
        }
        _report_full(context, course_runs)
    else:
        _report_full(context, {name: runs[name][MAIN_RATE] for name in runs} if is_course else {})


# ---- training --------------------------------------------------------------------------------------------------------
def _images(context: Context, n_items: int) -> tuple[data.Dataset, data.Dataset]:
    """The first n_items training images, and as validation images the test set or, for few items, a part of it."""
    train, val = context.cifar10()
    n_val = len(val) if n_items == ALL_IMAGES else min(len(val), max(500, n_items // 5))
    return train.subset(slice(0, n_items)), val.subset(slice(0, n_val))


def _loader(images: data.Dataset, batch_size: int, shuffle: bool = False, seed: int = 0) -> data.Loader:
    """The course's batches: pixels in [-1, 1], no augmentation."""
    return data.Loader(images, batch_size=batch_size, shuffle=shuffle, seed=seed, mean=0.5, std=0.5)


# ---- probes, and what they cost --------------------------------------------------------------------------------------
def _between_probes(context: Context, steps: int) -> int:
    return max(1, steps // (QUICK_PROBES if context.quick else PROBES))


def _probes_after(step: int, every: int) -> bool:
    """Whether the gradient is probed after this step; the first is 1."""
    return step == 1 or step % every == 0


def _work_of_step(step: int, every: int) -> int:
    """Gradients that are computed for it: its own, and with a probe one at the parameters and one at each step size."""
    return 2 + len(STEP_SIZES) if _probes_after(step, every) else 1


def _work(context: Context, steps: int) -> int:
    """Gradients of a training of so many steps."""
    every = _between_probes(context, steps)
    return sum(_work_of_step(step, every) for step in range(1, steps + 1))


class _Watched:
    """A loader whose batches the context counts; `every` steps there is a probe."""

    def __init__(self, context: Context, loader: data.Loader, label: str, every: int) -> None:
        self.context, self.loader, self.label, self.every = context, loader, label, every
        self.seed, self.set_epoch = loader.seed, loader.set_epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        before = self.loader.epoch * len(self)
        return self.context.progress(
            self.loader, self.label, len(self), work=lambda index: _work_of_step(before + index + 1, self.every)
        )


class _Recorder(training.Callback):
    """Keeps what the assignment plots: the loss of each step, the change of the last layer's gradient, and probes.

    Args:
        x, y: the batch of all probes, the same for all networks.
        every: steps between probes.
    """

    def __init__(self, x: NDArray, y: NDArray, every: int) -> None:
        self.x, self.y, self.every = x, y, every
        self.criterion = nn.CrossEntropyLoss()
        self._last: NDArray | None = None
        self._losses: list[float] = []
        self._changes: list[float] = []
        self._probe_steps: list[int] = []
        self._probes: list[list[list[float]]] = []

    def on_gradients(self, trainer: training.Trainer) -> None:
        gradient = trainer.model.classifier[4].weight.grad.copy()
        if self._last is not None:
            self._changes.append(float(np.linalg.norm(gradient - self._last)))
        self._last = gradient

    def on_step_end(self, trainer: training.Trainer) -> None:
        self._losses.append(trainer.last_loss)
        if _probes_after(trainer.step, self.every):
            probe = insight.probe_gradient(trainer.model, self.criterion, self.x, self.y, STEP_SIZES)
            low, high = probe.loss_range
            self._probe_steps.append(trainer.step)
            ranges = [high - low] * len(STEP_SIZES)
            self._probes.append([probe.distances.tolist(), probe.smoothness.tolist(), ranges])

    def state_dict(self) -> dict[str, Any]:
        return {
            "last": self._last,
            "losses": np.array(self._losses),
            "changes": np.array(self._changes),
            "probe_steps": self._probe_steps,
            "probes": np.array(self._probes).reshape(-1, 3, len(STEP_SIZES)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._last = state["last"]
        self._losses = state["losses"].tolist()
        self._changes = state["changes"].tolist()
        self._probe_steps = list(state["probe_steps"])
        self._probes = state["probes"].tolist()

    def result(self) -> Result:
        """Arrays (T, step sizes) of T probes, (T,) the range of the loss, the loss at each step, and the change at each
        but the first."""
        probes = np.array(self._probes)
        return {
            "losses": np.array(self._losses),
            "changes": np.array(self._changes),
            "probe_steps": np.array(self._probe_steps),
            "distances": probes[:, 0],
            "smoothness": probes[:, 1],
            "loss_ranges": probes[:, 2, 0],
        }


def _stage(
    context: Context, key: str, build: Any, rate: float, epochs: float, train: data.Dataset, val: data.Dataset
) -> Result:
    return context.stage(key, lambda: _train(context, key, build, rate, epochs, train, val))


def _train(
    context: Context, key: str, build: Any, rate: float, epochs: float, train: data.Dataset, val: data.Dataset
) -> Result:
    """One training; a checkpoint at the end of every epoch lets an interrupted one continue."""
    fastnn.manual_seed(SEED + context.seed)  # all rates start from the same weights
    model = build()
    loader = _loader(train, BATCH_SIZE, shuffle=True, seed=context.seed)
    steps = count_steps(epochs, len(loader))
    x, y = next(iter(_loader(train.subset(slice(0, BATCH_SIZE)), BATCH_SIZE)))
    assert y is not None  # a data set has labels
    recorder = _Recorder(x, y, every=_between_probes(context, steps))
    folder = context.out / "unfinished" / "".join(c if c.isalnum() else "-" for c in key)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = training.Checkpoints(folder)
    trainer = training.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=rate),
        callbacks=[recorder, checkpoints],
        progress=False,
        config={
            "network": repr(model),
            "lr": rate,
            "n_items": len(train),
            "epochs": epochs,
            "seed": context.seed,
            **context.data_settings,
        },
    )
    _continue(context, trainer, checkpoints.last, loader)
    history = trainer.fit(_Watched(context, loader, key, recorder.every), epochs, _loader(val, 250))
    if rate == MAIN_RATE:
        name = key.partition(",")[0].lower().replace(" ", "-") + ("-all-images" if "all images" in key else "")
        training.save_weights(model, context.out / f"{name}.safetensors")
    _remove(folder)
    row = history.rows[-1]
    context.say(f"{key}: training loss {row['train_loss']:.3f}, validation accuracy {100 * row['val_accuracy']:.2f} %")
    return {
        "val_accuracy": np.array([100 * row["val_accuracy"] for row in history.rows]),
        "train_loss": np.array([row["train_loss"] for row in history.rows]),
        "rows": history.rows,
        **recorder.result(),
    }


def _continue(context: Context, trainer: training.Trainer, path: Path, loader: data.Loader) -> None:
    """Let the trainer go on from the checkpoint of an interrupted training, if there is one of this very training."""
    if not path.exists():
        return
    try:
        trainer.load(path, loader)
    except training.CheckpointError as error:
        context.say(f"not continued, but begun anew: {error}")
    else:
        context.say(f"continues after step {trainer.step}")


def _remove(folder: Path) -> None:
    """The checkpoint of a training whose result is in hand."""
    for path in folder.glob("*.safetensors"):
        path.unlink()
    for empty in (folder, folder.parent):
        with contextlib.suppress(OSError):  # others are in there
            empty.rmdir()


# ---- report ----------------------------------------------------------------------------------------------------------
def _count(model: nn.Module) -> int:
    return sum(parameter.size for parameter in model.parameters())


def _report_networks(context: Context, runs: dict[str, dict[float, Result]], setting: str) -> None:
    report = context.report
    report.task(
        "VGG-A with and without batch norm",
        asked="Add batch norm to VGG-A, train both networks and compare their training.",
        done=f"Trained both with Adam at four learning rates, batches of {BATCH_SIZE}, pixels in [-1, 1], no "
        f"augmentation; all start from the same random seed. This run: {setting}.",
    )
    report.check("parameters of VGG-A", 9_750_922, _count(models.vgg_a()))
    report.check("parameters of VGG-A with batch norm", 9_756_426, _count(models.vgg_a_bn()))
    report.check("parameters of the light VGG-A", 285_162, _count(models.vgg_a_light()))
    report.figure(
        "training_curves",
        _draw_curves({name: results[MAIN_RATE] for name, results in runs.items()}),
        f"Training loss and validation accuracy of both networks at learning rate {MAIN_RATE:g}.",
    )
    report.table(
        "Best validation accuracy in % at each learning rate. The published numbers are those of VGG-A after "
        f"{COURSE_EPOCHS} epochs on all images, where batch norm loses at 1e-4.",
        ["network", "learning rate", "this run", "published, 20 epochs, all images", "last training loss of this run"],
        [
            [
                name,
                f"{rate:g}",
                f"{result['val_accuracy'].max():.2f}",
                f"{PUBLISHED_ACCURACY[name][rate]:.2f}",
                f"{result['train_loss'][-1]:.3f}",
            ]
            for name, results in runs.items()
            for rate, result in sorted(results.items())
        ],
    )
    for name, results in runs.items():
        for rate, result in results.items():
            report.metric(f"best validation accuracy of {name} at {rate:g}", float(result["val_accuracy"].max()))


def _draw_curves(results: dict[str, Result]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    loss_ax, accuracy_ax = figure.subplots(1, 2)
    styles = ({"color": "#0072B2", "linestyle": "-"}, {"color": "#D55E00", "linestyle": "--"})
    for style, (name, result) in zip(styles, results.items(), strict=True):
        losses = result["losses"]
        every = max(1, len(losses) // 100)
        means = losses[: len(losses) // every * every].reshape(-1, every).mean(axis=1)
        epochs_per_step = len(result["val_accuracy"]) / len(losses)
        loss_ax.plot(
            (np.arange(len(means)) + 1) * every * epochs_per_step, means, label=name, linewidth=1.3,
            marker="o" if len(means) == 1 else None, **style,
        )  # fmt: skip
        accuracy = result["val_accuracy"]
        accuracy_ax.plot(np.arange(len(accuracy)) + 1, accuracy, marker="o", markersize=4, label=name, **style)
    loss_ax.set_ylabel("training loss")
    accuracy_ax.set_ylabel("validation accuracy (%)")
    for ax in (loss_ax, accuracy_ax):
        count_epochs(ax)
        ax.grid(alpha=0.3)
        ax.legend()
    return figure


def _bands(losses: dict[str, Any]) -> dict[str, tuple[NDArray, NDArray]]:
    return {name: insight.lr_band(curves) for name, curves in losses.items()}


def _draw_bands(bands: dict[str, tuple[NDArray, NDArray]], title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.add_subplot()
    insight.plot_lr_band(bands, ax, every=max(1, len(next(iter(bands.values()))[0]) // 200))
    ax.set_title(title)
    return figure


def _measure(band: tuple[NDArray, NDArray]) -> tuple[float, ...]:
    """The `BAND_MEASURES`: the mean width over all steps and over each quarter of them, and the means of the edges."""
    low, high = band
    parts = [high - low, *np.array_split(high - low, 4), low, high]
    return tuple(float(part.mean()) if part.size else float("nan") for part in parts)


def _report_landscape(context: Context, runs: dict[str, dict[float, Result]], judged: bool) -> None:
    report = context.report
    report.task(
        "Loss landscape",
        asked="Draw, for both networks in one figure, the area between the smallest and the largest training loss of "
        "each step over several learning rates.",
        done="The area between the edges of four trainings each, learning rates "
        + ", ".join(f"{rate:g}" for rate in LEARNING_RATES)
        + ".",
    )
    bands = _bands({name: {rate: r["losses"] for rate, r in results.items()} for name, results in runs.items()})
    report.figure(
        "loss_landscape",
        _draw_bands(bands, "Training loss over four learning rates"),
        "The band of the losses of each step over the four learning rates. A narrow band means that the loss hardly "
        "depends on the length of the step.",
    )
    report.table(
        "Mean width of the band (maximum - minimum), over all steps and over each quarter of them, and means of its "
        "edges. The published log has 20 epochs on all images.",
        ["network", *BAND_MEASURES],
        [[name, *(f"{value:.3f}" for value in _measure(band))] for name, band in bands.items()]
        + [[f"{name}, published", *(f"{value:.3f}" for value in PUBLISHED_BAND[name])] for name in bands],
    )
    report.text(
        "Batch norm does not make the band narrower everywhere: in the published log it is wider in the first quarter, "
        "while the losses fall fast, and clearly narrower later. What is checked below is what holds of the published "
        "log over all of its steps: lower losses, and a large learning rate that does less harm."
    )
    if not judged:
        report.text(
            f"The published facts are of VGG-A and {JUDGED_STEPS} steps or more; this run is not judged by them."
        )
        return
    for what in ("lower edge", "upper edge"):
        index = BAND_MEASURES.index(what)
        published = PUBLISHED_BAND[NORMED][index] / PUBLISHED_BAND[PLAIN][index]
        report.check(
            f"mean of the band's {what}, with batch norm / without",
            1.0,
            _measure(bands[NORMED])[index] / _measure(bands[PLAIN])[index],
            at_most=True,
            full_only=True,
            note=f"published, 20 epochs: {published:.2f}",
        )
    best = {name: float(runs[name][max(LEARNING_RATES)]["val_accuracy"].max()) for name in runs}
    report.check(
        "best validation accuracy at learning rate 2e-3, with batch norm - without (points)",
        0.0,
        best[NORMED] - best[PLAIN],
        at_least=True,
        full_only=True,
        note="published, 20 epochs: 8.83",
    )


def _report_published_band(context: Context) -> None:
    """The same band from a public log of the course's own setting, which also checks `lr_band`."""
    report = context.report
    report.task(
        "The published band",
        done="The log of a public repository that ran the course's setting (all images, 20 epochs), drawn by the same "
        "functions.",
    )
    try:
        path = context.find(PUBLISHED_LOG)
    except data.DataNotFoundError:
        report.text(f"The log `{PUBLISHED_LOG}` is not among the data of this machine, so that this part is left out.")
        return
    log = read_npz(path, ("std_step_losses", "bn_step_losses"))
    losses = {PLAIN: log["std_step_losses"], NORMED: log["bn_step_losses"]}
    if any(curves.ndim != 2 or not curves.size for curves in losses.values()):
        raise data.DataError("the losses are not of several learning rates and steps", path)
    bands = _bands({name: list(curves) for name, curves in losses.items()})
    report.figure("loss_landscape_published", _draw_bands(bands, "Published log, 20 epochs"), "The published band.")
    for name, expected in PUBLISHED_BAND.items():
        for what, number, ours in zip(BAND_MEASURES, expected, _measure(bands[name]), strict=True):
            # The numbers are rounded to three digits, and the log is in single precision.
            report.check(f"published band of {name}: mean {what}", number, ours, tolerance=6e-4)


def _report_smoothness(context: Context, runs: dict[str, dict[float, Result]]) -> None:
    report = context.report
    results = {name: of_rate[MAIN_RATE] for name, of_rate in runs.items()}
    sizes = ", ".join(f"{size:g}" for size in STEP_SIZES)
    report.task(
        "Gradient predictiveness",
        asked="Show how well the gradient predicts itself: the distance between the gradient at a point and further "
        "along it, for both networks in one figure.",
        done=f"At fixed parameters theta, on the same {BATCH_SIZE} training images for all networks, the gradient g of "
        f"all parameters and that at theta - eta g, for eta = {sizes}; learning rate {MAIN_RATE:g}.",
    )
    report.figure(
        "gradient_predictiveness",
        insight.plot_gradient_predictiveness(
            {name: (result["probe_steps"], result["distances"]) for name, result in results.items()}
        ).figure,
        "Change of the gradient along itself; the area spans the step sizes, the line is the largest change.",
    )
    _table_of_probes(context, runs, "distances", "Change of the gradient, over all probes and step sizes")
    report.task(
        "Effective beta-smoothness",
        asked="Show the maximum difference in gradient over the distance moved, for both networks in one figure.",
        done="The same probes: the change of the gradient divided by eta ||g||, and of that the maximum over the step "
        "sizes. It bounds the Lipschitz constant of the gradient from below.",
    )
    report.figure(
        "beta_smoothness",
        insight.plot_beta_smoothness(
            {name: (result["probe_steps"], result["smoothness"]) for name, result in results.items()}
        ).figure,
        "The largest change of the gradient over the distance moved.",
    )
    _table_of_probes(context, runs, "smoothness", "Change of the gradient over the distance, over all probes")
    _table_of_probes(context, runs, "loss_ranges", "Range of the loss along the gradient, over all probes")
    report.text(
        "These numbers are not judged: published runs differ in which network is smoother on average, and agree in the "
        "worst case only."
    )
    report.table(
        "Change of the gradient of the last layer's weight from one step to the next, ||g_t - g_(t-1)||. In the "
        "published log it is not smaller with batch norm; it mixes the change of the parameters with that of the "
        "images, which is why the probes above keep both fixed.",
        ["network", "learning rate", "median", "95th percentile", "published median", "published 95th percentile"],
        [
            [name, f"{rate:g}", *_quantiles(result["changes"]), *(f"{v:.3f}" for v in PUBLISHED_CHANGE[name][rate])]
            for name, of_rate in runs.items()
            for rate, result in sorted(of_rate.items())
        ],
    )


def _quantiles(values: NDArray) -> list[str]:
    return [f"{np.quantile(values, q):.3f}" for q in (0.5, 0.95)] if values.size else ["", ""]


def _table_of_probes(context: Context, runs: dict[str, dict[float, Result]], what: str, caption: str) -> None:
    rows = []
    for name, of_rate in runs.items():
        for rate, result in sorted(of_rate.items()):
            values = result[what]
            rows.append([name, f"{rate:g}", f"{np.mean(values):.4g}", f"{np.max(values):.4g}"])
            context.report.metric(f"largest {what} of {name} at {rate:g}", float(np.max(values)))
    context.report.table(f"{caption}.", ["network", "learning rate", "mean", "largest"], rows)


def _report_full(context: Context, results: dict[str, Result]) -> None:
    """Against the published accuracies, if the course's setting was run: `results` at the main rate, or nothing."""
    report = context.report
    report.task(
        "The course's setting in full",
        asked=f"VGG-A with and without batch norm, all images, {COURSE_EPOCHS} epochs.",
        done=f"Learning rate {MAIN_RATE:g}, best validation accuracy against the published one.",
    )
    if not results and not context.quick:
        report.text("Not run: it takes hours. `fastnn reproduce fudan-bn --full` does it.")
        return
    for name, published in PUBLISHED_ACCURACY.items():
        ours = float(results[name]["val_accuracy"].max()) if results else None
        report.check(f"validation accuracy in %, {name}", published[MAIN_RATE], ours, tolerance=1.5, full_only=True)
    if results:
        report.figure(
            "training_curves_full",
            _draw_curves(results),
            f"Training loss and validation accuracy on all images at learning rate {MAIN_RATE:g}.",
        )
