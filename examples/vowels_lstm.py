"""Which of nine men said "ae": series of unequal length, by recurrent layers and by convolutions.

Trains on the 270 series that are given for it, of 7 to 29 steps of 12 numbers, filled up with
zeros that a mask leaves out. Takes about twenty seconds and should print accuracies of about 98 %
(recurrent) and 98.5 % (convolutions) on the 370 unseen series.
"""

from pathlib import Path

import numpy as np
from cosine import CosineDecay

import fastweights as fw
from fastweights import layers

EPOCHS = 100


def recurrent() -> list[layers.Layer]:
    """Reads each series both ways, and no step behind its end."""
    return [
        layers.Masking(),
        layers.GaussianNoise(0.1),
        layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
        layers.Dropout(0.3),
        layers.Bidirectional(layers.LSTM(64)),
        layers.Dropout(0.5),
    ]


def convolutions() -> list[layers.Layer]:
    """Looks at a few steps at a time, and at the mean of all answers."""
    stack: list[layers.Layer] = [layers.GaussianNoise(0.1)]
    for _ in range(3):
        stack += [
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.SpatialDropout1D(0.25),
        ]
    return [*stack, layers.GlobalAveragePooling1D(), layers.Dropout(0.5)]


def train(seed: int = 0, by: str = "recurrent") -> float:
    """The accuracy on unseen series."""
    with np.load(Path(__file__).parent / "data" / "japanese_vowels.npz") as data:
        x, y, seen = data["series"], data["labels"], int(data["train"])

    stack = {"recurrent": recurrent, "convolutions": convolutions}[by]()
    model = fw.Sequential([*stack, layers.Dense(9, "softmax")], x.shape[1:], seed=seed)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    cosine = CosineDecay(0.003, EPOCHS, rising=3)
    model.fit(x[:seen], y[:seen], 16, EPOCHS, verbose=0, callbacks=[cosine])
    return model.evaluate(x[seen:], y[seen:], return_dict=True)["accuracy"]


if __name__ == "__main__":
    for kind in ("recurrent", "convolutions"):
        print(f"accuracy on 370 unseen series, {kind}: {train(by=kind):.1%}")
