"""Handwritten digits by convolutions, from images that are turned, moved and zoomed in training.

Trains on the first 80 % of 5,000 images, as bytes. Takes about half a minute and should print an
accuracy of about 98.5 % on the unseen last 20 %.
"""

from pathlib import Path

import numpy as np
from cosine import CosineDecay

import fastweights as fw
from fastweights import layers

EPOCHS = 40


def train(seed: int = 0) -> float:
    """The accuracy on unseen digits."""
    with np.load(Path(__file__).parent / "data" / "mnist_5k.npz") as data:
        x, y = data["images"][..., np.newaxis], data["labels"]
    seen = len(x) * 8 // 10

    model = fw.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.RandomRotation(0.04),
            layers.RandomTranslation(0.08, 0.08),
            layers.RandomZoom(0.1),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        input_shape=(28, 28, 1),
        seed=seed,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    cosine = CosineDecay(0.002, EPOCHS)
    model.fit(x[:seen], y[:seen], 64, EPOCHS, verbose=0, callbacks=[cosine])
    return model.evaluate(x[seen:], y[seen:], return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"accuracy on 1,000 unseen digits: {train():.1%}")
