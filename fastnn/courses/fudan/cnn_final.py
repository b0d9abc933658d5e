"""Fudan, project 2: the best network, what it looks at, and the loss around it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import data, insight, models, nn, training
from fastnn.courses.context import Context
from fastnn.courses.fudan import cnn_figures as figures
from fastnn.courses.fudan.cnn_network import network
from fastnn.courses.fudan.cnn_plan import Images, Plan, count
from fastnn.courses.fudan.cnn_training import SCALING, accuracy_of, train_stage
from fastnn.courses.fudan.cnn_variants import BASELINE, BASELINE_NAMES, STUDIES, Variant

__all__ = ["FINAL_FILTERS", "combine", "look", "show_landscape", "test", "train_final"]

# Of the course's VGG-A with batch norm, 9,756,426 parameters, after 20 epochs on all images without augmentation at
# learning rate 1e-3, according to a published log. A network with a 13th of the parameters, but with residual blocks
# and augmented images, must not be worse.
_VGG_A_BN_TEST_ERROR = 0.1696
FINAL_FILTERS = 32


# ---- the best network ------------------------------------------------------------------------------------------------
def _choose(study: str, best_of_seeds: float, results: dict[str, dict[str, Any]]) -> Variant | None:
    """The best variant of a study, or None if a seed of the baseline is as good."""
    best = max(STUDIES[study], key=lambda variant: np.nan_to_num(accuracy_of(results[variant.name])))
    return best if accuracy_of(results[best.name]) > best_of_seeds else None


def combine(activation: Variant | None, loss: Variant | None, optimizer: Variant | None) -> Variant:
    """The final network's variant, of what each study chose; None stands for the baseline."""
    activation, loss, optimizer = activation or BASELINE, loss or BASELINE, optimizer or BASELINE
    return Variant(
        "final",
        network={"filters": FINAL_FILTERS, **activation.network, **loss.network},
        loss=loss.loss,
        l1=loss.l1,
        l2=loss.l2,
        optimizer=optimizer.optimizer,
    )


def train_final(
    context: Context,
    plan: Plan,
    images: Images,
    baseline: dict[str, Any],
    results: dict[str, dict[str, dict[str, Any]]],
) -> models.Chain:
    report = context.report
    report.task(
        "The best network",
        "Report the best test error, the number of parameters and the speed of training.",
        f"{FINAL_FILTERS} filters, and of each study the best variant if it is better on the validation images than "
        f"all seeds of the baseline; {plan.n_final:,} images, {count(plan.final_epochs, 'epoch')}, mirrored "
        "at random and shifted by up to 4 pixels.",
    )
    best_of_seeds = max(map(accuracy_of, (baseline, *results["seeds"].values())))
    chosen = {study: _choose(study, best_of_seeds, results[study]) for study in ("activations", "losses", "optimizers")}
    variant = combine(chosen["activations"], chosen["losses"], chosen["optimizers"])
    augment = (data.RandomHorizontalFlip(), data.RandomCrop(4))
    result = train_stage(
        context, "final", variant, images.final, images.validation, plan.final_epochs, augment, keep=True
    )
    names = {study: one.name if one else BASELINE_NAMES[study] for study, one in chosen.items()}
    report.table(
        "The final network",
        ["what", "value"],
        [
            *([study, name] for study, name in names.items()),
            ["parameters", result["parameters"]],
            ["training speed, images/s", round(result["images_per_second"])],
            ["time, s", round(result["seconds"])],
            ["validation error, %", round(100 * (1 - accuracy_of(result)), 2)],
        ],
    )
    report.figure("final_curves", figures.curves(result), "Loss and accuracy of the final network")
    finite = np.isfinite([result["train_loss"], result["val_loss"]]).all()
    report.check("final network: losses that are not finite", 0, int(not finite))
    for name in ("parameters", "images_per_second", "seconds"):
        report.metric(f"final: {name}", result[name])
    model = network(**variant.network)
    model.load_state_dict(result["weights"])
    model.eval()
    training.save_weights(model, context.out / "weights.safetensors", {"recipe": "fudan-cnn", **names})
    return model


def test(context: Context, images: Images, model: models.Chain) -> NDArray[np.int64]:
    """The only time that the test images are used."""
    report = context.report

    def compute() -> dict[str, Any]:
        loader = data.Loader(images.test, batch_size=500, **SCALING)
        return {"scores": np.concatenate([np.array(model(x)) for x, _ in loader])}

    scores = context.stage("test", compute)["scores"]
    labels, predictions = images.test.labels, scores.argmax(axis=1)
    error = float((predictions != labels).mean())
    report.check(
        "best test error",
        _VGG_A_BN_TEST_ERROR,
        error,
        at_most=True,
        full_only=True,
        note="bound: VGG-A with batch norm, 9,756,426 parameters, 20 epochs, as published",
    )
    report.metric("test error", error)
    report.text(f"Test error: {100 * error:.2f} % of {len(labels):,} images.")
    matrix = insight.confusion_matrix(labels, predictions, len(images.test.classes))
    report.check("images in the confusion matrix", len(labels), int(matrix.sum()))
    report.check("accuracy on its diagonal", 1 - error, matrix.trace() / matrix.sum(), tolerance=1e-12)
    report.figure(
        "confusion", figures.confusion(matrix, images.test.classes), "Test images of each class (row) by what was found"
    )
    off = np.where(np.eye(len(matrix), dtype=bool), -1, matrix)
    right, wrong = np.unravel_index(off.argmax(), off.shape)
    names = images.test.classes
    report.text(f"Taken for another most often: {names[right]} for {names[wrong]}, {off.max()} images.")
    return predictions


# ---- looking into it -------------------------------------------------------------------------------------------------
def _examples(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> NDArray[np.intp]:
    """Three images that were recognised and three that were not, as far as there are so many of each."""
    right, wrong = np.flatnonzero(predictions == labels), np.flatnonzero(predictions != labels)
    chosen = np.concatenate([right[:3], wrong[:3]])
    return np.concatenate([chosen, np.setdiff1d(np.arange(len(labels)), chosen)[: 6 - len(chosen)]])


def look(context: Context, images: Images, model: models.Chain, predictions: NDArray[np.int64]) -> None:
    report = context.report
    report.task(
        "What the network looks at",
        "Visualise and interpret the network.",
        "Filters of the first convolution, its feature maps, and for six test images (the first three that were "
        "recognised, the first three that were not) where the class that the network found comes from: saliency, "
        "Grad-CAM at the 8x8 pixels before the last pooling, and the fall of the score under an 8x8 window.",
    )
    chosen = _examples(images.test.labels, predictions)
    x, _ = next(iter(data.Loader(images.test.subset(chosen), batch_size=len(chosen), **SCALING)))
    found = predictions[chosen]
    report.figure(
        "first_filters", figures.filters(model.conv1.weight.data), "All filters of the first convolution, as colours"
    )
    features = {"first": model[:3](x[:1])[0], "second": model[:7](x[:1])[0], "third": model[:13](x[:1])[0]}
    report.figure(
        "feature_maps",
        figures.feature_maps(images.test.images[chosen[0]], features),
        "One image, and 16 feature maps after the activation of each of the three stages, each scaled by itself",
    )
    maps = {
        "saliency": insight.saliency(model, x, found),
        "Grad-CAM": insight.grad_cam(model, x, "act4", found),
        "occlusion": insight.occlusion(model, x, found, window=8, stride=4),
    }
    names = images.test.classes
    titles = [f"{names[images.test.labels[i]]}\nfound: {names[predictions[i]]}" for i in chosen]
    report.figure(
        "attention",
        figures.attention(images.test.images[chosen], titles, maps),
        "Where the found class comes from, each map scaled by itself; occlusion: orange speaks for it, purple against",
    )
    finite = sum(int(np.isfinite(one).all()) for values in maps.values() for one in values)
    report.check("maps that are finite", len(maps) * len(chosen), finite)


def show_landscape(context: Context, plan: Plan, images: Images, model: models.Chain) -> None:
    report = context.report
    report.task(
        "The loss landscape",
        "Visualise the loss around the solution.",
        f"Cross-entropy of {plan.landscape_images} training images along random directions whose filters have the "
        "norms of the network's filters (Li et al., 2018): three lines, and a plane.",
    )
    part = images.final.subset(slice(0, plan.landscape_images))
    batches = list(data.Loader(part, batch_size=250, **SCALING))
    criterion = nn.CrossEntropyLoss()

    def line(seed: int) -> dict[str, Any]:
        found = insight.loss_landscape(model, criterion, batches, steps=plan.steps_1d, seed=seed)
        return {"alphas": found.alphas, "losses": found.losses}

    def plane() -> dict[str, Any]:
        found = insight.loss_landscape(
            model, criterion, batches, directions=2, steps=plan.steps_2d, span=0.5, seed=context.seed
        )
        return {"alphas": found.alphas, "betas": found.betas, "losses": found.losses}

    lines = context.stage("landscape: lines", lambda: {str(i): line(context.seed + i) for i in range(3)})
    area = context.stage("landscape: plane", plane)
    report.figure("landscape", figures.landscape(list(lines.values()), area), "Loss along three lines, and on a plane")
    loss = training.evaluate(model, batches, criterion).loss
    centres = [one["losses"][plan.steps_1d // 2] for one in lines.values()]
    centres.append(area["losses"][plan.steps_2d // 2, plan.steps_2d // 2])
    # The same images in the same batches; only the sum over the batches may be rounded differently.
    report.check("loss in the middle", np.full(4, loss), np.array(centres), tolerance=1e-6, relative=True)
    lowest = min(float(np.nanmin(one["losses"])) for one in (*lines.values(), area))
    report.text(
        f"Loss of the network: {loss:.4f}; the lowest on these lines and the plane: {lowest:.4f}. "
        "Four random directions out of hundreds of thousands are a glimpse of the surroundings, and no proof."
    )
