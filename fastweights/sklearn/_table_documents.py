"""What the docstrings of both table estimators have in common."""

from __future__ import annotations

PARAMETERS = """\
    preset : {"fast", "best"}, default="fast"
        Seconds; or an ensemble, within a minute for 20,000 rows.
    kinds : dict of str to str, default=None
        What columns are, where that is not to be found out: ``"number"``, ``"category"``,
        ``"date"``, ``"text"``, ``"drop"``, or ``"keep"`` for one that looks like an id. Columns of
        arrays are ``"x0"``, ``"x1"``, ...
    cv : int, splitter or iterable, default=None
        Folds, as scikit-learn takes them: for each a model of the others is scored, in
        `cv_scores_`, before the one of all rows is trained. A number leaves rows out as `split`
        says, which is in an order by `random_state`, each class with its share, unless told.
    random_state : int, RandomState instance or None, default=None
        One int, one model, bit for bit, whatever the number of threads.
    n_jobs : int, default=None
        Threads; -1 for all CPUs, None for what `fastweights.set_num_threads` says.
    verbose : {"auto", 0, 1, 2}, default=0
        As for `fastweights.fit_many`.
    bins, min_category_rows, max_categories, category_numbers, target_means : int, default=None
        How columns become features: see `fastweights.table.Recipe`, as for all that follow, whose
        None is the preset's. ``target_means=math.inf`` is for never.
    layers : tuple of int, default=None
        Units of each hidden layer.
    activation : str or tuple of str, default=None
        Of the hidden layers, or of each of them.
    variety : tuple of str, default=None
        Activations of other networks, which take turns with `activation`.
    dropout : float, default=None
        Behind each hidden layer.
    linear : bool, default=None
        Whether a linear path goes beside the hidden layers.
    linear_gain : float, default=None
        By which share errors must be smaller with a linear path for it to be taken.
    learning_rate, scale_rate, warmup : float, default=None
        Of the steps; by what they are larger for the factors of the features; the share of the
        steps in which the rate rises.
    batch_size, epochs, patience : int, default=None
        Rows a step; passes over the rows; after how many epochs without a gain a network's training
        ends, 0 for never.
    nets : int, default=None
        Networks whose predictions are averaged.
    folds : int, default=None
        Parts of the rows, of which each network leaves out another one that says which epoch is the
        best; 0: the last epoch is kept.
    split : str, default=None
        How rows are left out: ``"random"``, ``"time:COLUMN"`` or ``"group:COLUMN"``.
    optimizer : str, Optimizer or config, default=None
        Instead of Adam and all that is said of the learning rate.
    l2 : float, default=None
        What the square of each weight, biases apart, adds to the loss.
    monitor : str or Metric, default=None
        What, of the rows left out, says which epoch is the best: ``"loss"``, or a metric.
    metrics : sequence of str or Metric, default=None
        What the histories tell beside the loss.
    dtype : {"float32", "float64"}, default=None
        Of weights and arithmetic.
"""

ATTRIBUTES = """\
    feature_importances_ : ndarray of shape (n_features_in_,)
        By permutation, on rows that were left out; computed when first asked for.
    cv_scores_ : ndarray of shape (folds,)
        With `cv`: `score` on the rows that were left out, fold by fold.
    dropped_columns_ : dict of str to str
        Columns that are not used, each with the reason.
    remarks_ : list of str
        What was decided without being asked, in words.
    recipe_ : fastweights.table.Recipe
        All choices.
    model_ : fastweights.table.TableModel
        Which the estimator is the face of: histories, networks, what columns are used as.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        The columns of a frame; absent without one.
"""

NOTES = """\
    Rows may be frames of pandas or Polars, arrays or lists, with numbers, texts, dates, booleans
    and missing values of any kind. A frame's columns are known by their names, in any order. Those
    of an array have none, so that a number is never taken for an id, nor for a date. Rows with a
    weight of 0 are left out. Parameters are looked at by `fit`.
"""
