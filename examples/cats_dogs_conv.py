"""Cats and dogs by convolutions, from silhouettes that are mirrored and moved in training.

Trains on the first 80 % of 2,000 drawings. Takes about half a minute and should print an accuracy
of about 97 % on the unseen last 20 %.
"""

from pathlib import Path

import numpy as np
from cosine import CosineDecay

import fastweights as fw
from fastweights import layers

EPOCHS = 60


def train(seed: int = 0) -> float:
    """The accuracy on unseen drawings."""
    with np.load(Path(__file__).parent / "data" / "cats_dogs.npz") as data:
        x, y = data["images"][..., np.newaxis], data["labels"]
    seen = len(x) * 8 // 10

    model = fw.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.05),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomZoom(0.1),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ],
        input_shape=(28, 28, 1),
        seed=seed,
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    cosine = CosineDecay(0.002, EPOCHS)
    model.fit(x[:seen], y[:seen], 32, EPOCHS, verbose=0, callbacks=[cosine])
    return model.evaluate(x[seen:], y[seen:], return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"accuracy on 400 unseen drawings: {train():.1%}")
