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
]
