"""Another head on a stack that was trained: alone at first, then all of it slowly."""

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
x = rng.normal(size=(240, 10)).astype("float32")
y_old = np.tanh(x[:, :3]).astype("float32")
y_new = np.tanh(x[:, 1:2] - x[:, 2:3]).astype("float32")

model = keras.Sequential(
    [
        keras.Input(shape=(10,)),
        layers.Dense(32, activation="selu", name="body_1"),
        layers.BatchNormalization(name="body_2"),
        layers.Dense(16, activation="selu", name="body_3"),
        layers.Dense(3, name="old_head"),
    ]
)
model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss="mean_squared_error")
share_weights(model)
first = model.fit(x, y_old, batch_size=40, epochs=3, shuffle=False, verbose=0)

model.pop()
for layer in model.layers:
    layer.trainable = False
model.add(layers.Dense(1, kernel_initializer="ones", name="new_head"))
model.compile(optimizer=keras.optimizers.SGD(0.02), loss="mean_squared_error")
second = model.fit(x, y_new, batch_size=40, epochs=3, shuffle=False, verbose=0)

model.trainable = True
model.compile(optimizer=keras.optimizers.SGD(0.002), loss="mean_squared_error")
third = model.fit(x, y_new, batch_size=40, epochs=3, shuffle=False, verbose=0)
tell(
    model,
    first=first.history["loss"],
    second=second.history["loss"],
    third=third.history["loss"],
    predictions=model.predict(x[:5], verbose=0),
)
