"""Attention over the steps of a series, as it was written before there was a layer for it."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

steps, features = 12, 6
rng = np.random.default_rng(5)
x = rng.normal(size=(320, steps, features)).astype("float32")
y = np.eye(3)[x[:, :, 0].argmax(axis=1) // 4]

inputs = keras.Input(shape=(steps, features))
h = layers.Dense(16, activation="elu")(inputs)
h = layers.GroupNormalization(groups=4)(h)
scores = layers.Dense(1, activation="tanh")(h)
scores = layers.Flatten()(scores)
weights = layers.Activation("softmax", name="attention")(scores)
weights = layers.RepeatVector(16)(weights)
weights = layers.Permute((2, 1))(weights)
pooled = layers.Multiply()([h, weights])
pooled = layers.Flatten()(pooled)
outputs = layers.Dense(3)(layers.LeakyReLU(negative_slope=0.1)(pooled))
outputs = layers.Softmax()(outputs)
model = keras.Model(inputs, outputs)

model.compile(
    optimizer=keras.optimizers.SGD(0.1),
    loss="categorical_crossentropy",
    metrics=["categorical_accuracy"],
)
share_weights(model)
history = model.fit(x, y, epochs=4, batch_size=64, shuffle=False, verbose=0)
tell(model, shares=model.predict(x[:4], verbose=0), **history.history)
