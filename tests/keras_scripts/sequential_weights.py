"""Rows and classes of different weights, 1 on average over each batch, as Keras needs them."""

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
x = rng.normal(size=(96, 7)).astype("float32")
y = np.tile(np.repeat([0, 1, 2], [8, 16, 8]), 3)
x[np.arange(96), y] += 1.0
w = rng.uniform(0.0, 2.0, size=(3, 32))
w = (w / w.mean(axis=1, keepdims=True)).reshape(-1).astype("float32")
by_class = {0: 2.0, 1: 0.5, 2: 1.0}  # 1 on average over each batch

model = keras.Sequential(
    [keras.Input(shape=(7,)), layers.Dense(16, activation="tanh"), layers.Dense(3, "softmax")]
)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.1), loss="sparse_categorical_crossentropy"
)
share_weights(model)

by_rows = model.fit(
    x, y, 32, 4, 0, validation_data=(x[:32], y[:32], w[:32]), shuffle=False, sample_weight=w
)
by_classes = model.fit(
    x, y, batch_size=32, epochs=4, verbose=0, shuffle=False, class_weight=by_class
)
steps = [float(model.train_on_batch(x[:32], y[:32], w[:32])) for _ in range(3)]
steps.append(float(model.train_on_batch(x[:32], y[:32], class_weight=by_class)))
steps.append(float(model.test_on_batch(x[:32], y[:32], sample_weight=w[:32])))
loss = model.evaluate(x[:32], y[:32], sample_weight=w[:32], verbose=0)
tell(
    model,
    by_rows=by_rows.history["loss"],
    held_out=by_rows.history["val_loss"],
    by_classes=by_classes.history["loss"],
    steps=steps,
    final=loss,
    predictions=model.predict(x[:5], verbose=0),
)
