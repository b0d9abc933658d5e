"""Draw docs/_static/networks.svg, the picture in the README, from results/published_networks.csv.

    python benchmarks/plot_networks.py

The background is transparent and the text is grey, so that the picture can be read on a light and on a dark page.
"""

import csv
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RESULTS = Path(__file__).parent / "results" / "published_networks.csv"
PICTURE = Path(__file__).parent.parent / "docs" / "_static" / "networks.svg"
TEXT, TRAINING, INFERENCE = "#737b85", "#2f78e0", "#b96a0d"


def draw(rows: list[dict[str, str]]) -> plt.Figure:
    """Two bars for each network: how many times as fast as PyTorch fastnn is in training and with one image."""
    rows = sorted(rows, key=lambda row: float(row["training_ratio"]))
    places = np.arange(len(rows))
    settings = {"text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT,
                "axes.edgecolor": TEXT, "font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "fastnn"}  # fmt: skip
    with matplotlib.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7.5, 5.6), layout="constrained")
        kinds = [("training_ratio", TRAINING, "training step", 0.2), ("inference_ratio", INFERENCE, "one image", -0.2)]
        for column, colour, label, shift in kinds:
            ratios = [float(row[column]) for row in rows]
            bars = axes.barh(places + shift, ratios, height=0.38, color=colour, label=label)
            axes.bar_label(bars, fmt="%.2f", padding=-22, fontsize=8, color="white")
        axes.axvline(1, color=TEXT, linewidth=1, linestyle="--", zorder=0)
        axes.set_yticks(places, [row["network"] for row in rows])
        axes.set_xlim(0, 2.75)
        axes.set_xlabel("times as fast as PyTorch (dashed line: PyTorch)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
    return figure


def main() -> None:
    with RESULTS.open(newline="", encoding="utf-8") as file:
        figure = draw(list(csv.DictReader(file)))
    PICTURE.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fastnn"}):
        figure.savefig(PICTURE, transparent=True, metadata={"Date": None})
    print(PICTURE)


if __name__ == "__main__":
    main()
