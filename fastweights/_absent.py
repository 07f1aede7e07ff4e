"""Names of Keras's that are not here, to be read or to be set, and what to write instead."""

from __future__ import annotations

_OWN = "write a layers.NumpyLayer or a layer of ops: docs/own-layers.md"
_NUMBERED = "number the strings before, alike in all rows"
_NOT_YET = f"there is none yet; {_OWN}"
_PIXELS = f"{_NOT_YET}, or change images beforehand"
_BY_STEP = "which a model's stream() takes step by step"
_POOLED = (
    *(f"{name}Pooling" for name in ("Max", "Average")),
    *(f"Global{name}Pooling" for name in ("Max", "Average")),
)
_MERGING = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot")

#: By the name that is looked for.
INSTEAD: dict[str, str] = {
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
    **{f"{name}Cell": f"use layers.{name}, {_BY_STEP}" for name in ("LSTM", "GRU", "SimpleRNN")},
    **dict.fromkeys(("RNN", "StackedRNNCells"), f"use layers.LSTM, GRU or SimpleRNN, {_BY_STEP}"),
    "ThresholdedReLU": "use layers.ReLU(threshold=...)",
    "EinsumDense": "use layers.Dense, which works on the last axis, and layers.Permute",
    **dict.fromkeys(
        (
            *("AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix"),
            *("Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment", "Solarization"),
            *("RandomColorDegeneration", "RandomColorJitter", "RandomElasticTransform"),
            *("RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert"),
            *("RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness"),
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
    "Pipeline": "use fw.Sequential",
    "Wrapper": f"layers.TimeDistributed and Bidirectional are those; else {_OWN}",
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _OWN),
    "InputSpec": "a layer refuses what it cannot read in ops or variables: docs/own-layers.md",
    "serialize": "use layer.config() and model.save",
    "deserialize": "use fw.load",
    "InputLayer": "use fw.Input",
    **{name: f"use layers.{name.capitalize()}()([a, b])" for name in _MERGING},
    "utils": "np.eye(n)[labels] is to_categorical; docs/keras.md has the rest",
    "ops": "tensors have a shape alone; layers.Add()([a, b]) is a + b",
    "models": "use fw.Model and fw.Sequential",
    "add_loss": "use model.forward, model.backward and model.apply_gradients",
    "add_weight": "declare it in variables: docs/own-layers.md",
    "get_config": "use config()",
    **dict.fromkeys(
        ("reset_metrics", "metrics_names"), "train_on_batch and evaluate tell of their rows alone"
    ),
    **dict.fromkeys(
        ("reset_state", "reset_states"), "call layer.reset_state() of each stateful layer"
    ),
    "GroupedQueryAttention": "the layer is GroupQueryAttention",
    **dict.fromkeys(("Attention", "AdditiveAttention"), "use MultiHeadAttention"),
    **dict.fromkeys(
        ("trainable_weights", "trainable_variables"),
        "use layer.weights of the layers that are trainable; model.summary() counts them",
    ),
    **dict.fromkeys(
        ("non_trainable_weights", "non_trainable_variables"),
        "use layer.weights of the layers that are not trainable; model.summary() shows them",
    ),
    "clone_model": "use model.copy(), or fw.Model.from_config(model.config()) for weights anew",
    "RemoteMonitor": "send the logs in on_epoch_end of a callback of your own, or LambdaCallback",
    "OrbaxCheckpoint": "use callbacks.ModelCheckpoint, whose files a fit goes on from exactly",
    "CallbackList": "fit, evaluate and predict take a list of callbacks",
    "ProgressBar": "the bar is callbacks.ProgbarLogger",
    "lr": "the step size is learning_rate",
    **dict.fromkeys(
        ("Adafactor", "Ftrl", "Lamb", "Muon", "ScheduleFreeAdamW"),
        "there is none yet; optimizers.Adam and Adagrad are near",
    ),
    "LossScaleOptimizer": "gradients are float32 or float64, and need no scale",
}


def hint(name: str) -> str:
    """What the refusal of a name ends with."""
    return f"; {INSTEAD[name]}" if name in INSTEAD else ""


def refusal_of(module: str, name: str) -> AttributeError:
    """What a module raises about a name that it does not have."""
    where = "; use fw.Input" if (module, name) == ("fastweights.layers", "Input") else hint(name)
    return AttributeError(f"module {module!r} has no attribute {name!r}{where}")
