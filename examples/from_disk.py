"""Trains on more numbers than it has in memory at a time: from files, and from a generator.

The rows are those of a function with noise, written to several files as a measurement would be.
"""

import tempfile
from pathlib import Path

import numpy as np

import fastweights as fw
from fastweights import layers

FILES, ROWS, COLUMNS = 4, 100_000, 40


def write(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of rows and files of targets, 64 MB in all."""
    random = np.random.default_rng(0)
    weights = random.standard_normal(COLUMNS) / np.sqrt(COLUMNS)
    rows, targets = [], []
    for number in range(FILES):
        x = random.standard_normal((ROWS, COLUMNS), np.float32)
        y = np.sin(2.0 * x @ weights) + 0.1 * random.standard_normal(ROWS)
        rows.append(folder / f"x{number}.npy")
        targets.append(folder / f"y{number}.npy")
        np.save(rows[-1], x)
        np.save(targets[-1], y.astype(np.float32))
    return rows, targets


def network() -> fw.Sequential:
    model = fw.Sequential([layers.Dense(64, "tanh"), layers.Dense(1)], COLUMNS, "float32", seed=0)
    model.compile("adam", "mse", metrics=["mae"])
    return model


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows, targets = write(Path(folder))

        model = network()
        history = model.fit(
            rows, targets, batch_size=256, epochs=3, validation_split=0.1, verbose=0
        )
        print(f"from files:       unseen mae {history.history['val_mae'][-1]:.3f}")

        def batches():
            """The same rows, of all but the last file, mirrored at random."""
            random = np.random.default_rng(1)
            while True:
                for a, b in zip(rows[:-1], targets[:-1], strict=True):
                    x, y = np.load(a, mmap_mode="r"), np.load(b)
                    for first in range(0, ROWS, 256):
                        sign = random.choice((-1.0, 1.0))
                        yield sign * x[first : first + 256], sign * y[first : first + 256]

        model = network()
        steps = (FILES - 1) * -(-ROWS // 256)
        model.fit(batches(), steps_per_epoch=steps, epochs=3, verbose=0)
        _, mae = model.evaluate(rows[-1], targets[-1])
        print(f"from a generator: unseen mae {mae:.3f}")


if __name__ == "__main__":
    main()
