"""House prices: a stack of dense layers, part of the rows held out, the best weights kept."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(0)
x = rng.normal(size=(400, 13)).astype("float32")
y = (x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + 0.1 * rng.normal(size=400)).astype("float32")

model = keras.Sequential(
    [
        keras.Input(shape=(13,)),
        layers.Dense(64, activation="relu"),
        layers.Dense(64, activation="relu"),
        layers.Dense(1),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.02, momentum=0.9), loss="mse", metrics=["mae"]
)
share_weights(model)

stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
history = model.fit(
    x,
    y,
    validation_split=0.2,
    epochs=8,
    batch_size=32,
    shuffle=False,
    callbacks=[stopping],
    verbose=0,
)
loss, mae = model.evaluate(x, y, verbose=0)
predictions = model.predict(x[:5], verbose=0)
tell(model, predictions=predictions, final=[loss, mae], **history.history)
