"""Insight into networks: gradient checks, saliency maps, loss landscapes, confusion matrices, explanations, plots.

For example:

    from fastnn import insight

    insight.gradcheck(MyLayer(), x).raise_if_wrong()
    insight.plot_overlay(image, insight.grad_cam(model, image[None], "features.8")[0])
"""

from fastnn.insight.confusion import confusion_matrix, per_class_accuracy
from fastnn.insight.explanation import Explanation, explain
from fastnn.insight.gradcheck import GradcheckResult, GradientError, GradientRow, compare_gradients, gradcheck
from fastnn.insight.landscape import LossLandscape, loss_landscape, lr_band
from fastnn.insight.landscape_plots import (
    plot_beta_smoothness,
    plot_gradient_predictiveness,
    plot_loss_landscape,
    plot_lr_band,
)
from fastnn.insight.plots import (
    plot_bars,
    plot_confusion_matrix,
    plot_curves,
    plot_feature_maps,
    plot_filters,
    plot_images,
    plot_overlay,
)
from fastnn.insight.saliency import grad_cam, occlusion, saliency
from fastnn.insight.smoothness import GradientProbe, beta_smoothness, gradient_predictiveness, probe_gradient

__all__ = [
    "Explanation",
    "GradcheckResult",
    "GradientError",
    "GradientProbe",
    "GradientRow",
    "LossLandscape",
    "beta_smoothness",
    "compare_gradients",
    "confusion_matrix",
    "explain",
    "grad_cam",
    "gradcheck",
    "gradient_predictiveness",
    "loss_landscape",
    "lr_band",
    "occlusion",
    "per_class_accuracy",
    "plot_bars",
    "plot_beta_smoothness",
    "plot_confusion_matrix",
    "plot_curves",
    "plot_feature_maps",
    "plot_filters",
    "plot_gradient_predictiveness",
    "plot_images",
    "plot_loss_landscape",
    "plot_lr_band",
    "plot_overlay",
    "probe_gradient",
    "saliency",
]
