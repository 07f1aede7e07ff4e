"""Temperature by other sensors, and why rows that follow each other are no strangers.

26,115 hours at three airports, with a date in words, missing cells, and gusts that are mostly not
there. Dew point and humidity, of which temperature follows, are left out. Where hours are held
out at random, their neighbours have been seen; held out by time, November and December have not,
and that is what a forecast meets. Takes about half a minute. Writes weather.png.
"""

from pathlib import Path

import numpy as np

import fastweights as fw
from fastweights.table import TableModel, read, split

SEED = 0
KINDS = {"dewp": "drop", "humid": "drop", "year": "drop", "time_hour": "date"}


def main() -> None:
    table = read(Path(__file__).parent / "data" / "weather.csv.gz")
    by_time = np.argsort(table["time_hour"].codes, kind="stable")
    cut = round(len(table) * 0.84)
    parts = {
        "at random": split(len(table), 1 - cut / len(table), SEED),
        "by time": (np.sort(by_time[:cut]), np.sort(by_time[cut:])),
    }
    for name, (train, test) in parts.items():
        how = "random" if name == "at random" else "time:time_hour"
        model = TableModel("temp", seed=SEED, kinds=KINDS, split=how)
        figures = model.fit(table.take(train)).score(table.take(test))
        print(
            f"{len(test):,} hours held out {name}: off by {figures['mae']:.1f} degrees Fahrenheit "
            f"(always the mean: {figures['baseline_mae']:.1f})"
        )
    unseen = table.take(test)
    truth, known = model.preprocessor.truth(unseen)
    fw.plot_predictions(truth[known], model.predict(unseen)[known], "degrees Fahrenheit",
                        to_file="weather.png")  # fmt: skip
    print("picture: weather.png")


if __name__ == "__main__":
    main()
