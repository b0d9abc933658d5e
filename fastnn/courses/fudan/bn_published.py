"""Fudan, project 2, second part: what published runs of the course's setting measured."""

PLAIN, NORMED = "VGG-A", "VGG-A with batch norm"

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
