"""Pictures, by matplotlib: networks, weights, training, and how good predictions are."""

from fastweights.plotting.filters import plot_filters
from fastweights.plotting.graph import plot_model
from fastweights.plotting.results import plot_calibration, plot_confusion, plot_predictions

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_filters",
    "plot_model",
    "plot_predictions",
]
