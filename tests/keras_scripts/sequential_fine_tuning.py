"""Fine tuning: trained, then with a new head on frozen layers, then all of it slowly."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(6)
x = rng.normal(3.0, 2.0, size=(240, 10)).astype("float32")
y_old = np.tanh(x[:, :3] - 3.0).astype("float32")
y_new = np.tanh(x[:, 1:2] - x[:, 2:3]).astype("float32")

normalize = layers.Normalization()
normalize.adapt(x)
body = [
    normalize,
    layers.Dense(32, activation="selu", name="body_1"),
    layers.BatchNormalization(name="body_2"),
    layers.Dense(16, activation="selu", name="body_3"),
]
model = keras.Sequential([keras.Input(shape=(10,)), *body, layers.Dense(3, name="old_head")])
model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mean_squared_error")
share_weights(model)
first = model.fit(x, y_old, batch_size=40, epochs=3, shuffle=False, verbose=0)

tuned = keras.Sequential(
    [
        keras.Input(shape=(10,)),
        layers.Normalization(mean=x.mean(axis=0), variance=x.var(axis=0)),
        layers.Dense(32, activation="selu", name="body_1"),
        layers.BatchNormalization(name="body_2"),
        layers.Dense(16, activation="selu", name="body_3"),
        layers.Dense(1, kernel_initializer="ones", name="new_head"),
    ]
)
for name in ("body_1", "body_2", "body_3"):
    tuned.get_layer(name).set_weights(model.get_layer(name).get_weights())
    tuned.get_layer(name).trainable = False
tuned.compile(optimizer=keras.optimizers.SGD(0.02), loss="mean_squared_error")
second = tuned.fit(x, y_new, batch_size=40, epochs=3, shuffle=False, verbose=0)

tuned.trainable = True
tuned.compile(optimizer=keras.optimizers.SGD(0.001), loss="mean_squared_error")
third = tuned.fit(x, y_new, batch_size=40, epochs=3, shuffle=False, verbose=0)
tell(
    tuned,
    first=first.history["loss"],
    second=second.history["loss"],
    third=third.history["loss"],
    predictions=tuned.predict(x[:5], verbose=0),
)
