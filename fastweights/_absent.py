"""Names of Keras's that are not here, to be read or to be set, and what to write instead."""

from __future__ import annotations

_OWN = "write a layers.NumpyLayer or a layer of ops: docs/own-layers.md"
_NUMBERED = "number the strings before, alike in all rows"
_MERGING = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot")

#: By the name that is looked for.
INSTEAD: dict[str, str] = {
    "Lambda": _OWN,
    **dict.fromkeys(("Conv3D", "ConvLSTM2D", "MaxPooling3D"), f"there is none yet; {_OWN}"),
    **dict.fromkeys(
        ("TextVectorization", "StringLookup", "IntegerLookup", "CategoryEncoding"), _NUMBERED
    ),
    "InputLayer": "use fw.Input",
    **{name: f"use layers.{name.capitalize()}()([a, b])" for name in _MERGING},
    "utils": "np.eye(n)[labels] is to_categorical; docs/keras.md has the rest",
    "ops": "tensors have a shape alone; layers.Add()([a, b]) is a + b",
    "models": "use fw.Model and fw.Sequential",
    "add_loss": "use model.forward, model.backward and model.apply_gradients",
    "add_weight": "declare it in variables: docs/own-layers.md",
    "get_config": "use config()",
    "test_on_batch": "use evaluate",
    **dict.fromkeys(
        ("reset_state", "reset_states"), "call layer.reset_state() of each stateful layer"
    ),
    "GroupedQueryAttention": "the layer is GroupQueryAttention",
    **dict.fromkeys(("Attention", "AdditiveAttention"), "use MultiHeadAttention"),
    "trainable_weights": "use layer.weights of the layers that are trainable",
    "ReduceLROnPlateau": "set self.model.optimizer.learning_rate in a callback of your own",
    "LearningRateScheduler": "set self.model.optimizer.learning_rate in a callback of your own",
    "ModelCheckpoint": "call self.model.save(path) in a callback's on_epoch_end",
    "lr": "the step size is learning_rate",
    **dict.fromkeys(
        ("clipnorm", "clipvalue", "global_clipnorm"), "there is no clipping of gradients yet"
    ),
    "weight_decay": "there is no decay of weights yet",
}


def hint(name: str) -> str:
    """What the refusal of a name ends with."""
    return f"; {INSTEAD[name]}" if name in INSTEAD else ""


def refusal_of(module: str, name: str) -> AttributeError:
    """What a module raises about a name that it does not have."""
    where = "; use fw.Input" if (module, name) == ("fastweights.layers", "Input") else hint(name)
    return AttributeError(f"module {module!r} has no attribute {name!r}{where}")
