"""Eight networks together read digits better than one, and know when they do not know.

Trains eight networks at once on the first 4,000 of 5,000 images; takes some seconds. Should print
that the ensemble is right more often than its members on average, and that where its members agree
least it is wrong far more often than where they agree most.
"""

from pathlib import Path

import numpy as np

import fastweights as fw
from fastweights import layers, optimizers


def build(seed: int) -> fw.Sequential:
    model = fw.Sequential(
        [
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        input_shape=(28, 28),
        seed=seed,
    )
    model.compile(optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    with np.load(Path(__file__).parent / "data" / "mnist_5k.npz") as data:
        x, y = data["images"].astype(np.float32) / 255, data["labels"]
    seen = len(x) * 8 // 10

    ensemble = fw.Ensemble([build(seed) for seed in range(8)])
    ensemble.fit(x[:seen], y[:seen], batch_size=64, epochs=10, rows="bootstrap")

    alone = [model.evaluate(x[seen:], y[seen:], return_dict=True) for model in ensemble]
    together = ensemble.evaluate(x[seen:], y[seen:], return_dict=True)
    print(
        f"a member is right on {np.mean([one['accuracy'] for one in alone]):.1%} of unseen digits"
    )
    print(f"all together on      {together['accuracy']:.1%}")

    mean, std = ensemble.predict(x[seen:], return_std=True)
    guess = mean.argmax(axis=1)
    spread = std[np.arange(len(guess)), guess]
    is_wrong = guess != y[seen:]
    agreed, disagreed = np.array_split(np.argsort(spread), 2)
    print(f"wrong where members agree {is_wrong[agreed].mean():.1%}, ", end="")
    print(f"where they do not {is_wrong[disagreed].mean():.1%}")


if __name__ == "__main__":
    main()
