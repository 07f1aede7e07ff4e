"""One encoder for both of a pair: shared layers, and the cosine of what they make."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(4)
left = rng.normal(size=(256, 12)).astype("float32")
right = (left[:, ::-1] * rng.choice([-1.0, 1.0], size=(256, 1))).astype("float32")
target = np.sign((left * right).sum(axis=1, keepdims=True)).astype("float32")

first = layers.Dense(24, activation="swish")
second = layers.Dense(8, activation="tanh")


def encode(x):
    return layers.UnitNormalization()(second(first(x)))


a, b = keras.Input(shape=(12,)), keras.Input(shape=(12,))
code_a, code_b = encode(a), encode(b)
likeness = layers.Dot(axes=1, normalize=True)([code_a, code_b])
apart = layers.Subtract()([code_a, code_b])
features = layers.Concatenate()([likeness, layers.Multiply()([apart, apart])])
model = keras.Model([a, b], layers.Dense(1)(features))

model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.05), loss="hinge")
share_weights(model)
history = model.fit([left, right], target, batch_size=32, epochs=5, shuffle=False, verbose=0)
tell(model, loss=history.history["loss"], scores=model.predict([left[:6], right[:6]], verbose=0))
