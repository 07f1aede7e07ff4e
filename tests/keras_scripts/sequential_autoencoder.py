"""An autoencoder: a loop of steps of its own, and a callback that changes the learning rate."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

rng = np.random.default_rng(7)
x = (rng.normal(size=(256, 4)) @ rng.normal(size=(4, 32))).astype("float32")
x = (x - x.min()) / (x.max() - x.min())

model = keras.Sequential(
    [
        layers.Dense(16, input_shape=(32,), name="encoder_1"),
        layers.PReLU(),
        layers.Dense(4, name="code"),
        layers.Rescaling(0.5, offset=0.1),
        layers.Dense(16, activation="softplus", name="decoder_1"),
        layers.RMSNormalization(),
        layers.Dense(32, activation="sigmoid", name="decoder_2"),
    ],
    name="autoencoder",
)
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.5), loss="binary_crossentropy")
share_weights(model)

steps = []
for start in range(0, 256, 64):
    batch = x[start : start + 64]
    steps.append(float(model.train_on_batch(batch, batch)))


class Halving(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.5 / 2**epoch


history = model.fit(x, x, batch_size=64, epochs=4, shuffle=False, callbacks=[Halving()], verbose=0)
code = model.get_layer("code").get_weights()[0]
tell(
    model, steps=steps, code=code, loss=history.history["loss"],
    again=model.predict_on_batch(x[:3]),
)  # fmt: skip
