"""What Keras's optimizers make of settings of steps, told to a file: run with Keras on its own."""

import itertools
import sys

import numpy as np

RATE = {"initial_learning_rate": 0.05, "decay_steps": 200, "alpha": 0.1}
TOGETHER = {
    "weight_decay": 0.02,
    "global_clipnorm": 0.3,
    "use_ema": True,
    "ema_momentum": 0.9,
    "ema_overwrite_frequency": 7,
    "gradient_accumulation_steps": 3,
}

#: Settings of an optimizer by name; steps are many.
CASES = {
    "plain": ("SGD", {}),
    "weight_decay": ("SGD", {"weight_decay": 0.02}),
    "clipnorm": ("SGD", {"clipnorm": 0.1}),
    "global_clipnorm": ("SGD", {"momentum": 0.9, "global_clipnorm": 0.1}),
    "clipvalue": ("SGD", {"clipvalue": 0.02}),
    "averages": ("SGD", {"use_ema": True, "ema_momentum": 0.9}),
    "averages that become weights": (
        "SGD",
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 4},
    ),
    "several batches": ("SGD", {"momentum": 0.9, "gradient_accumulation_steps": 4}),
    "several batches, averages": (
        "SGD",
        {
            "gradient_accumulation_steps": 3,
            "use_ema": True,
            "ema_momentum": 0.8,
            "ema_overwrite_frequency": 2,
        },
    ),
    "together": ("SGD", {"momentum": 0.9, **TOGETHER}),
}
STEPS, ROWS, WIDTHS = 300, 8, (5, 6, 3)


def numbers():
    """First weights, rows and targets."""
    random = np.random.default_rng(0)
    pairs = itertools.pairwise(WIDTHS)
    weights = [
        array
        for inputs, units in pairs
        for array in (0.5 * random.standard_normal((inputs, units)), np.zeros(units))
    ]
    x = random.standard_normal((STEPS, ROWS, WIDTHS[0]))
    return weights, x, random.standard_normal((STEPS, ROWS, WIDTHS[-1]))


def main(path):
    import keras

    keras.config.set_floatx("float64")
    weights, x, y = numbers()
    told = {}
    for name, (kind, settings) in CASES.items():
        rate = keras.optimizers.schedules.CosineDecay(**RATE)
        optimizer = getattr(keras.optimizers, kind)(rate, **settings)
        if "weight_decay" in settings:
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        hidden = keras.layers.Dense(WIDTHS[1], "tanh")
        model = keras.Sequential([keras.Input((WIDTHS[0],)), hidden, keras.layers.Dense(WIDTHS[2])])
        model.set_weights(weights)
        model.compile(optimizer, "mse")
        model.fit(
            x.reshape(-1, WIDTHS[0]), y.reshape(-1, WIDTHS[-1]), ROWS, 1, verbose=0, shuffle=False
        )
        told.update({f"{name} {k}": w for k, w in enumerate(model.get_weights())})
    np.savez(path, **told)


if __name__ == "__main__":
    main(sys.argv[1])
