"""Looking into networks: the surface of the loss, and how smooth it is."""

from fastnn.insight.landscape import LossLandscape, loss_landscape, lr_band
from fastnn.insight.landscape_plots import (
    plot_beta_smoothness,
    plot_gradient_predictiveness,
    plot_loss_landscape,
    plot_lr_band,
)
from fastnn.insight.smoothness import GradientProbe, beta_smoothness, gradient_predictiveness, probe_gradient

__all__ = [
    "GradientProbe",
    "LossLandscape",
    "beta_smoothness",
    "gradient_predictiveness",
    "loss_landscape",
    "lr_band",
    "plot_beta_smoothness",
    "plot_gradient_predictiveness",
    "plot_loss_landscape",
    "plot_lr_band",
    "probe_gradient",
"""Looking inside: are the gradients right, what does the network look at, what does it confuse.

insight.gradcheck(MyLayer(), x).raise_if_wrong()
insight.plot_overlay(image, insight.grad_cam(model, image[None], "features.8")[0])
"""

from fastnn.insight.confusion import confusion_matrix, per_class_accuracy
from fastnn.insight.gradcheck import GradcheckResult, GradientError, GradientRow, compare_gradients, gradcheck
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

__all__ = [
    "GradcheckResult",
    "GradientError",
    "GradientRow",
    "compare_gradients",
    "confusion_matrix",
    "grad_cam",
    "gradcheck",
    "occlusion",
    "per_class_accuracy",
    "plot_bars",
    "plot_confusion_matrix",
    "plot_curves",
    "plot_feature_maps",
    "plot_filters",
    "plot_images",
    "plot_overlay",
    "saliency",
]
