"""A residual network on tables, by the functional interface and a function for its block."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers


def residual_block(x, units, rate):
    skip = x
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Dense(2 * units, activation="gelu")(x)
    x = layers.Dropout(rate)(x)
    x = layers.Dense(units)(x)
    x = layers.Dropout(rate)(x)
    return layers.Add()([skip, x])


rng = np.random.default_rng(2)
x = rng.normal(size=(300, 20)).astype("float32")
y = (np.abs(x[:, :1]) - x[:, 1:2] ** 2).astype("float32")

inputs = keras.Input(shape=(20,), name="table")
x0 = layers.Dense(32)(inputs)
for _ in range(3):
    x0 = residual_block(x0, 32, rate=0.0)
x0 = layers.LayerNormalization(epsilon=1e-6)(x0)
outputs = layers.Dense(1)(x0)
model = keras.Model(inputs=inputs, outputs=outputs, name="resnet")
model.summary()

model.compile(
    optimizer=keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    loss=keras.losses.Huber(delta=0.5),
    metrics=[keras.metrics.MeanAbsoluteError(), "mse"],
)
share_weights(model)
history = model.fit(x, y, batch_size=50, epochs=5, shuffle=False, verbose=0)
tell(model, predictions=model.predict(x[:7], verbose=0), **history.history)
