"""What keeps a network from learning by heart: dropout, L2 and early stopping, each alone.

Trains a network of 270,000 weights on 300 handwritten digits of which one in five has a label drawn
at random. It knows them by heart soon; what it then makes of 1,000 unseen digits is drawn by epoch.
Takes a few seconds.

    python examples/overfitting.py [PICTURE.png]
"""

import sys
from pathlib import Path

import numpy as np

import fastweights as fw
from fastweights import callbacks, layers, optimizers, regularizers

SEEN, UNSEEN, EPOCHS, WRONG = 300, 1000, 60, 0.2


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Images and labels to train on, of which some are drawn at random, and others."""
    with np.load(Path(__file__).parent / "data" / "mnist_5k.npz") as data:
        x, y = data["images"].astype(np.float32) / 255, data["labels"]
    random, labels = np.random.default_rng(0), y[:SEEN].copy()
    is_drawn = random.uniform(size=SEEN) < WRONG
    labels[is_drawn] = random.integers(0, 10, is_drawn.sum())
    return (x[:SEEN], labels), (x[-UNSEEN:], y[-UNSEEN:])


def network(seed: int, dropout: float, l2: float) -> fw.Sequential:
    """Two hidden layers; of the pixels fewer are dropped than of what is made of them."""
    model = fw.Sequential(seed=seed)
    model.add(layers.Flatten(input_shape=(28, 28)))
    if dropout:
        model.add(layers.Dropout(dropout / 2.5))
    for units in (256, 256):
        regularizer = regularizers.L2(l2) if l2 else None
        model.add(layers.Dense(units, activation="relu", kernel_regularizer=regularizer))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizers.Adam(0.001), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def unseen_losses(seed: int) -> dict[str, list[float]]:
    """The crossentropy of unseen digits after each epoch, and what each way ends with."""
    seen, unseen = digits()
    kept: dict[str, list[float]] = {}
    for name, dropout, l2 in (
        ("nothing", 0.0, 0.0),
        ("dropout 0.5", 0.5, 0.0),
        ("L2 0.01", 0.0, 0.01),
        ("early stopping", 0.0, 0.0),
    ):
        model = network(seed, dropout, l2)
        stop = callbacks.EarlyStopping(patience=5, restore_best_weights=True)
        losses = CrossEntropies(unseen)
        told = [losses, stop] if name == "early stopping" else [losses]
        model.fit(
            *seen, batch_size=32, epochs=EPOCHS, verbose=0, callbacks=told, validation_data=unseen
        )
        kept[name] = [*losses.found, cross_entropy(model, *unseen)]
    return kept


def cross_entropy(model: fw.Sequential, x: np.ndarray, y: np.ndarray) -> float:
    """Without what the weights cost, which `evaluate` adds."""
    probability = model.predict(x)[np.arange(len(y)), y].astype(float)
    return float(-np.log(np.maximum(probability, 1e-30)).mean())


class CrossEntropies(callbacks.Callback):
    """The crossentropy of some rows after each epoch."""

    def __init__(self, rows: tuple[np.ndarray, np.ndarray]) -> None:
        self.rows, self.found = rows, []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.found.append(cross_entropy(self.model, *self.rows))


def draw(kept: dict[str, list[float]], path: str) -> None:
    """The losses by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=160, layout="constrained")
    axes = figure.subplots()
    for name, losses in kept.items():
        epochs = np.arange(1, len(losses))
        axes.plot(epochs, losses[:-1], label=f"{name}: ends at {losses[-1]:.2f}", linewidth=2)
    axes.set_xlabel("epoch")
    axes.set_title(f"crossentropy of {UNSEEN:,} unseen digits, trained on {SEEN}")
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    kept = unseen_losses(seed=0)
    for name, losses in kept.items():
        print(f"{name:15} {losses[-1]:.3f} after {len(losses) - 1} epochs, best {min(losses):.3f}")
    if len(sys.argv) > 1:
        draw(kept, sys.argv[1])


if __name__ == "__main__":
    main()
