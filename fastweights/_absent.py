"""Names of Keras's and PyTorch's that are not here, to be read or set: what to write instead."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from fastweights._importing import imported
from fastweights._refusal import refusal

_OWN = "write a layers.NumpyLayer or a layer of ops: docs/own-layers.md"
_NUMBERED = "number the strings before, alike in all rows"
_NOT_YET = f"there is none yet; {_OWN}"
_PIXELS = f"{_NOT_YET}, or change images beforehand"
_BY_STEP = "which a model's stream() takes step by step"
_ATTENTION = "use MultiHeadAttention"
_POOLED = (
    *(f"{name}Pooling" for name in ("Max", "Average")),
    *(f"Global{name}Pooling" for name in ("Max", "Average")),
)
_MERGING = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot")

_NO_OPTIMIZER = "there is none yet; optimizers.Adam and Adagrad are near"
_AVERAGED = "use_ema=True of any optimizer averages the weights"
_NO_METRIC = "there is none yet; a function (y_true, y_pred) of your own is a metric"
_COUNTED = "a metric counts for itself; a function (y_true, y_pred) of your own is one, too"

#: By the class of objects, or the module without ``fastweights.``, that is asked for the name.
INSTEAD: dict[str, dict[str, str]] = {
    "layers": {
        "Lambda": _OWN,
        **dict.fromkeys(
            (
                *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Conv3D", "Conv3DTranspose"),
                *("Convolution3D", "Convolution3DTranspose"),
                *("Cropping3D", "UpSampling3D", "ZeroPadding3D", "SpatialDropout2D"),
                *("SpatialDropout3D", "SpectralNormalization", "MelSpectrogram", "STFTSpectrogram"),
                *(f"{name}3D" for name in _POOLED),
                *(f"{name.replace('ing', '').replace('Average', 'Avg')}3D" for name in _POOLED),
                *(f"Adaptive{name}Pooling{n}D" for name in ("Max", "Average") for n in (1, 2, 3)),
            ),
            _NOT_YET,
        ),
        # What Keras also calls layers that are here.
        **{
            f"{name.replace('ing', '').replace('Average', 'Avg')}{n}D": f"the layer is {name}{n}D"
            for name in _POOLED
            for n in (1, 2)
        },
        **{
            f"{name}Convolution{n}D{more}": f"the layer is {name}Conv{n}D{more}"
            for name, more in (("", ""), ("", "Transpose"), ("Separable", ""))
            for n in (1, 2)
        },
        **{
            f"{name}Cell": f"use layers.{name}, {_BY_STEP}" for name in ("LSTM", "GRU", "SimpleRNN")
        },
        **dict.fromkeys(
            ("RNN", "StackedRNNCells"), f"use layers.LSTM, GRU or SimpleRNN, {_BY_STEP}"
        ),
        "ThresholdedReLU": "use layers.ReLU(threshold=...)",
        "EinsumDense": "use layers.Dense, which works on the last axis, and layers.Permute",
        **dict.fromkeys(
            (
                *(
                    "AugMix",
                    "AutoContrast",
                    "ContrastLimitedAdaptiveHistogramEqualization",
                    "CutMix",
                ),
                *("Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment", "Solarization"),
                *("RandomColorDegeneration", "RandomColorJitter", "RandomElasticTransform"),
                *("RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert"),
                *(
                    "RandomPerspective",
                    "RandomPosterization",
                    "RandomSaturation",
                    "RandomSharpness",
                ),
                "RandomShear",
            ),
            _PIXELS,
        ),
        **dict.fromkeys(
            ("TextVectorization", "StringLookup", "IntegerLookup", "CategoryEncoding", "Hashing"),
            _NUMBERED,
        ),
        **dict.fromkeys(
            ("Discretization", "HashedCrossing"), "np.digitize and the like number rows before"
        ),
        **dict.fromkeys(("Pipeline", "Sequential", "ModuleList"), "use fw.Sequential"),
        # PyTorch's.
        **dict.fromkeys(("Linear", "LazyLinear"), "the layer is Dense(units)"),
        **{
            f"{kind}{n}d": f"the layer is {kind}{n}D(filters, kernel_size)"
            for kind in ("Conv", "LazyConv")
            for n in (1, 2)
        },
        **{f"ConvTranspose{n}d": f"the layer is Conv{n}DTranspose" for n in (1, 2)},
        **{
            f"{kind}Pool{n}d": f"the layer is {name}Pooling{n}D"
            for kind, name in (("Max", "Max"), ("Avg", "Average"))
            for n in (1, 2)
        },
        **{
            f"Adaptive{kind}Pool{n}d": f"Global{name}Pooling{n}D is that to a size of 1"
            for kind, name in (("Max", "Max"), ("Avg", "Average"))
            for n in (1, 2)
        },
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), "the layer is BatchNormalization"),
        "LayerNorm": "the layer is LayerNormalization",
        "GroupNorm": "the layer is GroupNormalization",
        "RMSNorm": "the layer is RMSNormalization",
        "MultiheadAttention": "the layer is MultiHeadAttention",
        "Dropout1d": "the layer is SpatialDropout1D",
        **dict.fromkeys(
            ("Tanh", "Sigmoid", "GELU", "SiLU", "Softplus", "Softsign", "LogSoftmax", "Hardtanh"),
            "layers.Activation(name) is an activation of its own; most layers take activation=...",
        ),
        "Wrapper": f"layers.TimeDistributed and Bidirectional are those; else {_OWN}",
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _OWN),
        "InputSpec": "a layer refuses what it cannot read in ops or variables: docs/own-layers.md",
        "serialize": "use layer.config() and model.save",
        "deserialize": "use fw.load",
        "InputLayer": "use fw.Input",
        **{name: f"use layers.{name.capitalize()}()([a, b])" for name in _MERGING},
        "Attention": _ATTENTION,
        "AdditiveAttention": _ATTENTION,
        "GroupedQueryAttention": "the layer is GroupQueryAttention",
        "Input": "use fw.Input",
    },
    "callbacks": {
        "RemoteMonitor": "send the logs in on_epoch_end of a callback of your own, or "
        "LambdaCallback",
        "OrbaxCheckpoint": "use callbacks.ModelCheckpoint, whose files a fit goes on from exactly",
        "CallbackList": "fit, evaluate and predict take a list of callbacks",
        "ProgressBar": "the bar is callbacks.ProgbarLogger",
    },
    "optimizers": {
        **dict.fromkeys(
            ("Adafactor", "Ftrl", "Lamb", "LAMB", "LARS", "Muon", "ScheduleFreeAdamW"),
            _NO_OPTIMIZER,
        ),
        **dict.fromkeys(("AdaBound", "AdaBelief", "RAdam", "RectifiedAdam"), _NO_OPTIMIZER),
        **dict.fromkeys(("Lookahead", "MovingAverage", "SWA"), _AVERAGED),
        "LossScaleOptimizer": "gradients are float32 or float64, and need no scale",
        "legacy": "optimizers has one of each, as optimizers.Adam",
        "experimental": "optimizers has one of each, as optimizers.Adam",
        "lr_scheduler": "use fw.schedules",
    },
    "schedules": {
        "StepLR": "use schedules.StepDecay",
        "MultiStepLR": "use schedules.PiecewiseConstantDecay",
        "ExponentialLR": "use schedules.ExponentialDecay",
        "PolynomialLR": "use schedules.PolynomialDecay",
        "CosineAnnealingLR": "use schedules.CosineDecay",
        "CosineAnnealingWarmRestarts": "use schedules.CosineDecayRestarts",
        "OneCycleLR": "use schedules.OneCycle",
        "LinearLR": "use schedules.LinearWarmup",
        "LambdaLR": "use callbacks.LearningRateScheduler",
        "LearningRateScheduler": "use callbacks.LearningRateScheduler",
        "ReduceLROnPlateau": "use callbacks.ReduceLROnPlateau",
    },
    "losses": {
        "CrossEntropyLoss": "use losses.SparseCategoricalCrossentropy(from_logits=True)",
        "NLLLoss": "use losses.SparseCategoricalCrossentropy() behind softmax",
        "BCEWithLogitsLoss": "use losses.BinaryCrossentropy(from_logits=True)",
        "BCELoss": "use losses.BinaryCrossentropy",
        "MSELoss": "use losses.MeanSquaredError",
        "L1Loss": "use losses.MeanAbsoluteError",
        "SmoothL1Loss": "use losses.Huber",
        "HuberLoss": "use losses.Huber",
        "KLDivLoss": "use losses.KLDivergence",
        "PoissonNLLLoss": "use losses.Poisson",
        "GaussianNLLLoss": "use losses.GaussianNLL",
        "SigmoidFocalCrossEntropy": "use losses.BinaryFocalCrossentropy",
        "FocalLoss": "use losses.BinaryFocalCrossentropy or CategoricalFocalCrossentropy",
        "PinballLoss": "use losses.Quantile",
        **dict.fromkeys(
            ("CTC", "CategoricalGeneralizedCrossEntropy", "Circle", "Dice", "Tversky"),
            "there is none yet; write a function or a losses.NumpyLoss",
        ),
    },
    "metrics": {
        "F1": "use metrics.F1Score",
        "AUROC": "use metrics.AUC",
        "AveragePrecision": "use metrics.AUC(curve='PR')",
        "Accuracy": "use 'accuracy', which is what suits the loss, or metrics.BinaryAccuracy, "
        "CategoricalAccuracy or SparseCategoricalAccuracy",
        "MatthewsCorrelationCoefficient": "use metrics.MatthewsCorrelation",
        "MatthewsCorrCoef": "use metrics.MatthewsCorrelation",
        **dict.fromkeys(
            (
                *("IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"),
                *("SensitivityAtSpecificity", "SpecificityAtSensitivity"),
                *("PrecisionAtRecall", "RecallAtPrecision"),
            ),
            _NO_METRIC,
        ),
        **dict.fromkeys(("Mean", "MeanTensor", "Sum"), _COUNTED),
    },
    "fastweights": {
        **dict.fromkeys(("nn", "keras", "Module"), "use fw.layers, fw.Sequential and fw.Model"),
        "optim": "use fw.optimizers",
        **dict.fromkeys(("Tensor", "tensor", "from_numpy"), "arrays are NumPy's"),
        "no_grad": "leave it out: predict keeps nothing for gradients",
        **dict.fromkeys(("DataLoader", "Dataset"), "fit takes arrays and generators: docs/data.md"),
        **dict.fromkeys(
            ("device", "cuda"), "all runs on CPUs; fw.set_num_threads says on how many"
        ),
        "utils": "np.eye(n)[labels] is to_categorical; docs/keras.md has the rest",
        "ops": "tensors have a shape alone; layers.Add()([a, b]) is a + b",
        "models": "use fw.Model and fw.Sequential",
        "load_model": "use fw.load",
        "save_model": "use model.save",
        "clone_model": "use model.copy(), or fw.Model.from_config(model.config()) for weights anew",
        "saving": "use model.save and fw.load",
        **dict.fromkeys(
            ("set_random_seed", "manual_seed"), "models take a seed: fw.Sequential(..., seed=0)"
        ),
        **dict.fromkeys(("plot_weights", "plot_gradients", "summary"), "it is a method of models"),
        "plot_history": "fit returns the history, which has plot()",
    },
    "Sealed": {
        "add_loss": "use model.forward, model.backward and model.apply_gradients",
        "add_weight": "declare it in variables: docs/own-layers.md",
        "get_config": "use config()",
        **dict.fromkeys(
            ("reset_metrics", "metrics_names"),
            "train_on_batch and evaluate tell of their rows alone",
        ),
        **dict.fromkeys(
            ("reset_state", "reset_states"), "call layer.reset_state() of each stateful layer"
        ),
        **dict.fromkeys(
            ("trainable_weights", "trainable_variables"),
            "use layer.weights of the layers that are trainable; model.summary() counts them",
        ),
        **dict.fromkeys(
            ("non_trainable_weights", "non_trainable_variables"),
            "use layer.weights of the layers that are not trainable; model.summary() shows them",
        ),
        "lr": "the step size is learning_rate",
        **dict.fromkeys(("requires_grad", "requires_grad_"), "set layer.trainable"),
        **dict.fromkeys(("get_params", "to_json"), "use config()"),
        **dict.fromkeys(
            ("cuda", "cpu", "to"), "all runs on CPUs; copy(dtype='float64') of a model has others"
        ),
        **dict.fromkeys(("in_features", "out_features"), "use layer.kernel.shape"),
    },
    "Model": {
        "history": "fit returns it: history = model.fit(...)",
        **dict.fromkeys(
            ("fit_generator", "evaluate_generator", "predict_generator"),
            "fit, evaluate and predict take generators",
        ),
        "partial_fit": "use train_on_batch, or fit, which goes on from where it was",
        "score": "use evaluate",
        "predict_proba": "use predict: behind softmax or sigmoid it gives probabilities",
        "predict_classes": "use predict(x).argmax(axis=1)",
        **dict.fromkeys(("train", "eval"), "leave it out: fit trains, predict and evaluate do not"),
        **dict.fromkeys(
            ("state_dict", "named_parameters"),
            "use get_weights(), layer.weights, or save_weights, whose names PyTorch reads",
        ),
        "load_state_dict": "use load_weights, which reads files of PyTorch, or set_weights",
        "zero_grad": "leave it out: gradients are those of one call",
        **dict.fromkeys(("children", "modules"), "use layers"),
        **dict.fromkeys(("half", "float", "double"), "use copy(dtype='float32') or 'float64'"),
        **dict.fromkeys(("classes_", "coef_", "intercept_"), "use get_weights(), or layer.kernel"),
        "set_params": "settings are those of the layers and of compile",
        "add_metric": "give it to compile: compile(..., metrics=[...])",
        "save_model": "use save",
    },
    "EarlyStopping": {
        "best_weights": "with restore_best_weights=True the model has them after fit",
    },
    "Optimizer": {
        "step": "use model.apply_gradients(gradients), or fit",
        "zero_grad": "leave it out: gradients are those of one call",
        "param_groups": "learning_rate_factors has rates of some weights",
        **dict.fromkeys(
            ("state_dict", "load_state_dict"), "model.save and fw.load keep what it remembers"
        ),
        "variables": "what it remembers of a model is kept with that one, and by model.save",
    },
}


def hint(name: str, *places: str) -> str:
    """What the refusal of a name ends with, that was looked for in these places."""
    for place in places:
        if name in INSTEAD.get(place, {}):
            return f"; {INSTEAD[place][name]}"
    return ""


#: Libraries whose objects have namesakes here.
_OTHERS = ("keras", "tf_keras", "tensorflow", "torch", "torchmetrics")


def refuse_foreign(argument: str, place: str, given: object) -> None:
    """Raises TypeError for an object of another library, where one of the module `place` goes."""
    kind = given if isinstance(given, type) else type(given)
    root = str(kind.__module__).partition(".")[0]
    if root not in _OTHERS:
        return
    name = kind.__name__
    meant = hint(name, place)
    if not meant and hasattr(imported(f"fastweights.{place}"), name):
        meant = f"; use {place}.{name}"
    raise TypeError(refusal(argument, f"{name} of {root}", f"one of fastweights.{place}") + meant)


def hint_for_object(name: str, kind: type) -> str:
    """What the refusal of an attribute of an object of that class ends with."""
    return hint(name, *(base.__name__ for base in kind.__mro__))


def refusal_of(module: str, name: str, kinds: Mapping[str, object] | None = None) -> AttributeError:
    """What a module raises about a name that it does not have.

    `kinds` are classes of it by the names by which other arguments take them.
    """
    package, _, place = module.rpartition(".")
    kind = (kinds or {}).get(name.lower())
    found = hint(name, place, *(() if package else INSTEAD))
    if isinstance(kind, type):
        found = f"; use {place}.{kind.__name__}"
    elif not found and not name.startswith("_"):
        difflib = imported("difflib")  # slow to import, and seldom used

        public = [known for known in dir(sys.modules[module]) if not known.startswith("_")]
        near = difflib.get_close_matches(name, public, n=1, cutoff=0.75)
        found = f"; did you mean {near[0]!r}?" if near else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{found}")
