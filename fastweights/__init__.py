"""Trains small neural networks on a CPU, fast.

>>> import fastweights as fw
>>> from fastweights import layers
>>> model = fw.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1)], seed=0)
>>> model.compile(optimizer="adam", loss="mse")
>>> history = model.fit(x, y, epochs=20)
"""

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

from fastweights import _starting  # noqa: F401  (before what takes long to import)
from fastweights._importing import imported
from fastweights.config import (
    config,
    get_num_threads,
    set_matmul_precision,
    set_num_threads,
    set_reproducible,
    threads,
)

__all__ = [
    "DivergenceError",
    "Ensemble",
    "FitManyError",
    "Input",
    "Model",
    "Sequential",
    "activations",
    "attention_scores",
    "callbacks",
    "check_gradients",
    "check_loss",
    "config",
    "constraints",
    "data",
    "find_learning_rate",
    "fit_many",
    "generate",
    "generate_steps",
    "get_num_threads",
    "images",
    "initializers",
    "kernels",
    "layers",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "partial_dependence",
    "permutation_importance",
    "plot_attention",
    "plot_calibration",
    "plot_confusion",
    "plot_filters",
    "plot_model",
    "plot_predictions",
    "register_layer",
    "register_loss",
    "register_metric",
    "register_optimizer",
    "regularizers",
    "schedules",
    "set_matmul_precision",
    "set_num_threads",
    "set_reproducible",
    "sweep",
    "threads",
]

if TYPE_CHECKING:
    from fastweights import (
        activations,
        callbacks,
        constraints,
        data,
        images,
        initializers,
        kernels,
        layers,
        losses,
        metrics,
        optimizers,
        regularizers,
        schedules,
    )
    from fastweights._registry import (
        register_layer,
        register_loss,
        register_metric,
        register_optimizer,
    )
    from fastweights._tensors import Input
    from fastweights.attending import attention_scores, plot_attention
    from fastweights.ensembles import Ensemble
    from fastweights.generating import generate, generate_steps
    from fastweights.gradient_check import check_gradients, check_loss
    from fastweights.inspecting import partial_dependence, permutation_importance
    from fastweights.many import FitManyError, fit_many
    from fastweights.models import Model, Sequential
    from fastweights.plotting import (
        plot_calibration,
        plot_confusion,
        plot_filters,
        plot_model,
        plot_predictions,
    )
    from fastweights.rates import find_learning_rate
    from fastweights.saving import load
    from fastweights.sweeping import sweep
    from fastweights.training import DivergenceError
else:
    #: The names that are not modules, and where they are. All is imported at its first use.
    _HOME = {
        "DivergenceError": "training",
        "Ensemble": "ensembles",
        "FitManyError": "many",
        "Input": "_tensors",
        "Model": "models",
        "Sequential": "models",
        "attention_scores": "attending",
        "check_gradients": "gradient_check",
        "check_loss": "gradient_check",
        "find_learning_rate": "rates",
        "fit_many": "many",
        "generate": "generating",
        "generate_steps": "generating",
        "load": "saving",
        "partial_dependence": "inspecting",
        "permutation_importance": "inspecting",
        "plot_attention": "attending",
        "plot_calibration": "plotting",
        "plot_confusion": "plotting",
        "plot_filters": "plotting",
        "plot_model": "plotting",
        "plot_predictions": "plotting",
        "register_layer": "_registry",
        "register_loss": "_registry",
        "register_metric": "_registry",
        "register_optimizer": "_registry",
        "sweep": "sweeping",
    }

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise imported(f"{__name__}._absent").refusal_of(__name__, name)
        module = imported(f"{__name__}.{_HOME.get(name, name)}")
        value = getattr(module, name) if name in _HOME else module
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
