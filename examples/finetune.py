"""Fine-tuning: a network that knows the digits 0 to 4 goes on to 5 to 9, of few images.

Trains on the images of 0 to 4 and keeps what it learned in a file; a second network loads all of
that but the head, and learns 5 to 9 from 20 images each. Takes about ten seconds and prints its
accuracy on unseen images beside that of training from nothing. Both are about 92 %: what these
layers learn of 2,500 digits they learn of a hundred too, so take it for the way, not for the gain.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from cosine import CosineDecay

import fastweights as fw
from fastweights import layers

FEW = 20


def network(seed: int) -> fw.Sequential:
    """Convolutions, and a head for five digits."""
    return fw.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu", name="edges"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", name="strokes"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="shapes"),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax", name=f"head_{seed}"),
        ],
        input_shape=(28, 28, 1),
        seed=seed,
    )


def fit(model: fw.Model, x: np.ndarray, y: np.ndarray, epochs: int, batch: int) -> None:
    """By Adam, along a cosine."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch, epochs, verbose=0, callbacks=[CosineDecay(0.002, epochs)])


def train(seed: int = 0) -> tuple[float, float]:
    """Accuracy on unseen digits 5 to 9: from nothing, and fine-tuned."""
    with np.load(Path(__file__).parent / "data" / "mnist_5k.npz") as data:
        x, y = data["images"][..., np.newaxis], data["labels"].astype(int)
    random = np.random.default_rng(seed)
    first, second = np.flatnonzero(y < 5), np.flatnonzero(y >= 5)
    few = np.concatenate([random.permutation(second[y[second] == d])[:FEW] for d in range(5, 10)])
    unseen = np.setdiff1d(second, few)

    base = network(seed=100 + seed)
    fit(base, x[first], y[first], epochs=15, batch=64)
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.safetensors"
        base.save_weights(path)
        for is_tuned in (False, True):
            model = network(seed)
            if is_tuned:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that the head is left as it is
                    model.load_weights(path, skip_mismatch=True)
            fit(model, x[few], y[few] - 5, epochs=60, batch=10)
            scores.append(model.evaluate(x[unseen], y[unseen] - 5, return_dict=True)["accuracy"])
    return scores[0], scores[1]


if __name__ == "__main__":
    nothing, tuned = train()
    print(f"accuracy on unseen digits 5 to 9: {nothing:.1%} from nothing, {tuned:.1%} fine-tuned")
