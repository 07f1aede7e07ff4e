"""Two outputs with a loss each: a value, and whether it is positive."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(8)
x = rng.normal(size=(300, 16)).astype("float32")
value = (x[:, :1] + 0.5 * x[:, 1:2] ** 2 - 0.5).astype("float32")
positive = (value > 0).astype("float32")

inputs = keras.Input(shape=(16,))
trunk = layers.Dense(48, activation="relu")(inputs)
trunk = layers.Dense(24, activation="relu")(trunk)
value_output = layers.Dense(1, name="value")(trunk)
positive_output = layers.Dense(1, activation="sigmoid", name="positive")(trunk)
model = keras.Model(inputs, [value_output, positive_output])

model.compile(
    optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
    loss={"value": "mse", "positive": "binary_crossentropy"},
    loss_weights={"value": 1.0, "positive": 0.3},
)
share_weights(model)
first = model.fit(x, {"value": value, "positive": positive}, epochs=2, shuffle=False, verbose=0)
model.compile(
    optimizer=keras.optimizers.SGD(0.05),
    loss=["mse", "binary_crossentropy"],
    loss_weights=[1.0, 0.3],
)
second = model.fit(x, [value, positive], batch_size=30, epochs=3, shuffle=False, verbose=0)
values, chances = model.predict(x[:6], verbose=0)
tell(
    model,
    first=first.history["loss"],
    second=second.history["loss"],
    values=values,
    chances=chances,
)
