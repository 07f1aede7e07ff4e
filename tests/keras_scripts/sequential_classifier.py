"""Ten classes by integer labels, with batch normalisation between the layers."""

import sys

import numpy as np
from comparing import share_weights, tell

if sys.argv[1] == "keras":
    import keras
    from keras import layers
else:
    import fastweights as keras
    from fastweights import layers

num_classes = 10
rng = np.random.default_rng(1)
centers = rng.normal(size=(num_classes, 64))
y_train = rng.integers(num_classes, size=600)
x_train = (centers[y_train] + rng.normal(size=(600, 64))).astype("float32")
x_train, y_train, x_test, y_test = x_train[:500], y_train[:500], x_train[500:], y_train[500:]

model = keras.Sequential()
model.add(keras.Input(shape=(8, 8)))
model.add(layers.Flatten())
model.add(layers.Dense(64, use_bias=False))
model.add(layers.BatchNormalization())
model.add(layers.Activation("relu"))
model.add(layers.Dense(32, kernel_initializer="he_normal"))
model.add(layers.BatchNormalization(momentum=0.9))
model.add(layers.ReLU())
model.add(layers.Dense(num_classes, activation="softmax"))
model.summary()

model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.05),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
share_weights(model)
history = model.fit(
    x_train.reshape(-1, 8, 8),
    y_train,
    batch_size=64,
    epochs=4,
    shuffle=False,
    verbose=0,
    validation_data=(x_test.reshape(-1, 8, 8), y_test),
)
score = model.evaluate(x_test.reshape(-1, 8, 8), y_test, verbose=0)
probabilities = model.predict(x_test.reshape(-1, 8, 8), batch_size=50, verbose=0)
tell(model, score=score, probabilities=probabilities, **history.history)
