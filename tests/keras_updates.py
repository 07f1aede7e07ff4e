"""What Keras's optimizers make of given gradients, told to a file: run with Keras on its own."""

import sys

import numpy as np

STEPS, SHAPES = 200, ((5, 4), (4,))
#: Exact in float32, which Keras has of rates.
RATE = 0.0625
#: Keras has Adam's epsilon beside another root: neither is to be seen.
NONE = {"epsilon": 1e-30}

#: Optimizers by their names, which both have, with settings by which they agree.
CASES = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", NONE),
    "adam with other numbers": ("Adam", {"beta_1": 0.5, "beta_2": 0.9, **NONE}),
    "amsgrad": ("Adam", {"amsgrad": True, "beta_1": 0.5, "beta_2": 0.9, **NONE}),
    "adamw": ("AdamW", {"weight_decay": 0.125, **NONE}),
    "adamax": ("Adamax", {}),
    "adamax with other numbers": ("Adamax", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.125}),
    "nadam": ("Nadam", {}),
    "nadam with other numbers": ("Nadam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.125}),
    "lion": ("Lion", {}),
    "lion with other numbers": ("Lion", {"beta_1": 0.5, "beta_2": 0.75}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop with momentum": ("RMSprop", {"rho": 0.5, "momentum": 0.9, "epsilon": 0.125}),
    "centered rmsprop": ("RMSprop", {"centered": True, "epsilon": 0.125}),
    "adagrad": ("Adagrad", {}),
    "adagrad with other numbers": (
        "Adagrad",
        {"initial_accumulator_value": 0.5, "epsilon": 0.125},
    ),
    "adadelta": ("Adadelta", {}),
    "adadelta with other numbers": ("Adadelta", {"rho": 0.5, "epsilon": 0.125}),
    **{
        f"{kind} with {', '.join(settings)}": (kind, settings)
        for kind in ("SGD", "Nadam", "Lion", "RMSprop", "Adagrad")
        for settings in (
            {"weight_decay": 0.125},
            {"clipvalue": 0.25},
            {"clipnorm": 0.5},
            {"global_clipnorm": 0.5},
            {"use_ema": True, "ema_momentum": 0.75},
            {"use_ema": True, "ema_momentum": 0.75, "ema_overwrite_frequency": 7},
            {"gradient_accumulation_steps": 4},
            {
                "weight_decay": 0.125,
                "clipnorm": 0.5,
                "use_ema": True,
                "ema_momentum": 0.75,
                "gradient_accumulation_steps": 4,
            },
        )
    },
}


def numbers():
    """First weights, and the gradients of each step: larger ones and smaller ones."""
    random = np.random.default_rng(0)
    weights = [random.standard_normal(shape) for shape in SHAPES]
    scales = 2.0 ** random.integers(-4, 3, STEPS)
    gradients = [
        [scale * random.standard_normal(shape) for shape in SHAPES] for scale in scales.tolist()
    ]
    return weights, gradients


def main(path):
    import keras

    keras.config.set_floatx("float64")
    weights, gradients = numbers()
    told = {}
    for case, (kind, settings) in CASES.items():
        optimizer = getattr(keras.optimizers, kind)(RATE, **settings)
        names = ("kernel", "bias")
        variables = [
            keras.Variable(weight, dtype="float64", name=name)
            for name, weight in zip(names, weights, strict=True)
        ]
        if "weight_decay" in settings:
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(variables)
        for step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(g, "float64") for g in step])
        for name, variable in zip(names, variables, strict=True):
            told[f"{case} {name}"] = keras.ops.convert_to_numpy(variable)
        if "use_ema" in settings:
            averages = optimizer._model_variables_moving_average
            for name, average in zip(names, averages, strict=True):
                told[f"{case} average of {name}"] = keras.ops.convert_to_numpy(average)
    np.savez(path, **told)


if __name__ == "__main__":
    main(sys.argv[1])
