"""Bicycles hired in an hour, from the raw file to a picture.

The file has 8,645 hours with season, clock, weather, and three counts: ``casual`` and
``registered`` add up to ``bikers``, so a model that sees them knows the answer. Two models are
trained, with and without them; only the second one can say what the next hour brings. Takes about
a quarter of a minute; the second should be off by about 20 bicycles in an hour, where always the
mean is off by about 105. Writes bikes.png.
"""

from pathlib import Path

import fastweights as fw
from fastweights.table import TableModel, read, split

SEED = 0
HOURS = Path(__file__).parent / "data" / "bikes.csv.gz"


def main() -> None:
    table = read(HOURS)
    train, test = split(len(table), 0.2, SEED)
    unseen = table.take(test)

    told = TableModel("bikers", seed=SEED, nets=1).fit(table.take(train))
    print(f"with the counts of which it is the sum: off by {told.score(unseen)['mae']:.1f}")
    for remark in told.remarks:
        print(f"  {remark}")

    kinds = {"casual": "drop", "registered": "drop"}
    model = TableModel("bikers", seed=SEED, kinds=kinds).fit(table.take(train))
    figures = model.score(unseen)
    print(
        f"without: off by {figures['mae']:.1f} in {len(test):,} unseen hours "
        f"(always the mean: {figures['baseline_mae']:.1f}), R2 {figures['r2']:.3f}"
    )
    truth, _ = model.preprocessor.truth(unseen)
    fw.plot_predictions(truth, model.predict(unseen), "bicycles in an hour", to_file="bikes.png")
    print("picture: bikes.png")


if __name__ == "__main__":
    main()
