"""Wide and deep: two inputs by name, one of them past all layers but the last."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(3)
wide = rng.integers(2, size=(350, 30)).astype("float32")
deep = rng.normal(size=(350, 8)).astype("float32")
label = (wide[:, :3].sum(axis=1) + deep[:, 0] > 1.5).astype("int32")

wide_input = keras.Input(shape=(30,), name="wide")
deep_input = keras.Input(shape=(8,), name="deep")
hidden = layers.Dense(32, kernel_regularizer=keras.regularizers.L2(1e-3))(deep_input)
hidden = layers.BatchNormalization()(hidden)
hidden = layers.Activation("tanh")(hidden)
hidden = layers.Dense(16, activation="relu", kernel_regularizer="l1")(hidden)
merged = layers.Concatenate()([wide_input, hidden])
output = layers.Dense(1, activation="sigmoid", name="label")(merged)
model = keras.Model(inputs=[wide_input, deep_input], outputs=output)

model.compile(optimizer=keras.optimizers.SGD(0.1), loss="binary_crossentropy", metrics=["accuracy"])
share_weights(model)
history = model.fit(
    {"wide": wide, "deep": deep}, label, batch_size=32, epochs=4, shuffle=False, verbose=0
)
score = model.evaluate([wide, deep], label, verbose=0)
tell(model, score=score, chances=model.predict([wide[:9], deep[:9]]), **history.history)
