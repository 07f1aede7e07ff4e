"""What others call the commands and options that are here, for refusals of those that are not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

COMMANDS = {
    **dict.fromkeys(("fit", "learn"), "train"),
    **dict.fromkeys(("eval", "test", "score", "validate"), "evaluate"),
    **dict.fromkeys(("tune", "search", "optimize", "gridsearch"), "sweep"),
    **dict.fromkeys(("infer", "inference", "apply"), "predict"),
    **dict.fromkeys(("benchmark", "time", "profile"), "bench"),
    **dict.fromkeys(("check", "gradients"), "gradcheck"),
    **dict.fromkeys(("summary", "describe", "show", "version"), "info"),
}

#: Keras's, PyTorch's and scikit-learn's, with dashes.
OPTIONS = {
    **dict.fromkeys(("lr", "eta", "step-size", "learning-rate-init"), "learning-rate"),
    **dict.fromkeys(("num-epochs", "n-epochs", "nb-epoch", "max-epochs", "max-iter"), "epochs"),
    **dict.fromkeys(("bs", "minibatch-size", "train-batch-size"), "batch-size"),
    **dict.fromkeys(("test-size", "test-split", "test-ratio"), "test-fraction"),
    **dict.fromkeys(
        ("validation-split", "validation-size", "val-split", "val-size", "val-fraction"),
        "validation-fraction",
    ),
    **dict.fromkeys(("weight", "weights", "sample-weights", "row-weight"), "sample-weight"),
    **dict.fromkeys(("random-state", "random-seed", "manual-seed"), "seed"),
    **dict.fromkeys(("num-threads", "n-threads", "num-workers", "workers"), "threads"),
    **dict.fromkeys(("hidden-layer-sizes", "hidden-layers", "hidden-units", "units"), "layers"),
    **dict.fromkeys(("weight-decay", "alpha", "regularization"), "l2"),
    **dict.fromkeys(("solver", "optim", "opt"), "optimizer"),
    **dict.fromkeys(("scheduler", "lr-scheduler", "lr-schedule", "decay"), "schedule"),
    **dict.fromkeys(("output", "save", "save-path", "model-path"), "out"),
    **dict.fromkeys(("label", "label-column", "target-column", "y"), "target"),
    **dict.fromkeys(("criterion", "loss-function", "objective"), "loss"),
    **dict.fromkeys(("n-iter-no-change", "early-stopping-patience", "tol"), "patience"),
    **dict.fromkeys(("scoring", "metric"), "metrics"),
    **dict.fromkeys(("n-trials", "n-iter", "num-samples"), "trials"),
    **dict.fromkeys(("n-jobs", "num-jobs"), "jobs"),
    **dict.fromkeys(("n-estimators", "num-models", "bagging"), "ensemble"),
    **dict.fromkeys(("precision", "float"), "dtype"),
    **dict.fromkeys(("silent", "verbose", "verbosity"), "quiet"),
    **dict.fromkeys(("nonlinearity", "activation-function"), "activation"),
    **dict.fromkeys(("param", "params", "grid", "param-grid"), "try"),
}
_ON_CPUS = dict.fromkeys(
    ("gpu", "gpus", "device", "cuda", "accelerator"), "all runs on CPUs; --threads says on how many"
)


def hint(name: str, known: Collection[str], others: Mapping[str, str], prefix: str = "") -> str:
    """What the refusal of a name ends with: what it is called here, or what is spelt like it."""
    word = name.removeprefix("--").replace("_", "-").lower()
    if others is OPTIONS and word in _ON_CPUS:
        return f"; {_ON_CPUS[word]}"
    near = [others.get(word, word)]
    if near[0] not in known:
        near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {prefix + near[0]!r}?" if near else ""
