"""What the docstrings of both MLPs have in common."""

from __future__ import annotations

PARAMETERS = """\
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    activation : str or activation, or a list with one for each hidden layer, default="relu"
        Behind the hidden layers: ``"identity"``, ``"logistic"``, ``"tanh"``, ``"relu"``, or any of
        :mod:`fastweights.activations`, by its name (``"silu"``) or itself.
    solver : str or optimizer, default="adam"
        ``"adam"``, ``"sgd"`` and ``"lbfgs"`` are scikit-learn's, the last one SciPy's L-BFGS-B on
        all rows. Other names, and objects, are those of :mod:`fastweights.optimizers`; a name gets
        `learning_rate_init`, an object has its own.
    alpha : float, default=0.0001
        Of the L2 penalty ``alpha / 2 * sum(w^2)`` of the `coefs_`, beside the sum of the losses of
        a batch's rows: it is divided by their number, or by the sum of their weights.
    batch_size : int or "auto", default="auto"
        Rows of a step; ``min(200, n_samples)``. Not for ``"lbfgs"``.
    learning_rate : {"constant", "invscaling", "adaptive"} or schedule, default="constant"
        How the rate goes on: stays ``learning_rate_init``; is
        ``learning_rate_init / (t_ + 1) ** power_t`` after each epoch; or is divided by 5 where the
        fit would end, until it is below 1e-6. Those three change nothing for ``"adam"`` and
        ``"lbfgs"``. A schedule of :mod:`fastweights.schedules` counts steps.
    learning_rate_init : float, default=0.001
        At first.
    power_t : float, default=0.5
        Of ``"invscaling"``.
    max_iter : int, default=200
        Epochs at most, of ``"lbfgs"`` steps.
    shuffle : bool, default=True
        Whether the rows come in a new order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Of initial weights, the split of `early_stopping` and the order of rows. With one of these
        all of them are scikit-learn's own. None: NumPy's global one, as in scikit-learn.
    tol : float, default=1e-4
        What loss or score must get better by within `n_iter_no_change` epochs, or the fit ends; the
        largest gradient that ``"lbfgs"`` ends with.
    verbose : bool, default=False
        Whether to print a line an epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights that are there, with an optimizer that remembers
        nothing.
    momentum : float, default=0.9
        Of ``"sgd"``, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether that looks ahead.
    early_stopping : bool, default=False
        Whether to hold out a part of the rows, end where the score on it gets no better, and keep
        the weights with the best one. Not for ``"lbfgs"``.
    validation_fraction : float, default=0.1
        How large a part.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the two moments of ``"adam"``.
    epsilon : float, default=1e-8
        Of ``"adam"``.
    n_iter_no_change : int or inf, default=10
        Epochs without a gain of `tol` that are borne.
    max_fun : int, default=15000
        Looks at the loss by ``"lbfgs"`` at most.
"""

OWN_PARAMETERS = """\
    dropout : float or a list with one for each hidden layer, default=0.0
        What part of the outputs of hidden layers each training step leaves out. Not scikit-learn's.
    dtype : {"float32", "float64"}, default=None
        Of weights and arithmetic. None, as in scikit-learn: that of `X` at the first fit where it
        is one of them, else float64; of ``"lbfgs"`` always float64. Float32 takes about half the
        time. Not scikit-learn's.
"""

ATTRIBUTES = """\
    coefs_, intercepts_ : list of ndarray
        Of each layer the weights (inputs, outputs) and the biases (outputs,): live, what is written
        to them, or put in their places, is what predicts.
    loss_ : float
        Of the last epoch, the penalty included.
    loss_curve_ : list of float
        Of each epoch; not of ``"lbfgs"``.
    best_loss_ : float or None
        The smallest of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        Of each epoch, where rows are held out.
    best_validation_score_ : float or None
        The largest of them.
    n_iter_ : int
        Epochs of the last fit, of ``"lbfgs"`` steps.
    t_ : int
        Rows that were trained on, in all epochs.
    n_features_in_, n_layers_, n_outputs_ : int
        Of the network, whose layers count input and output, too.
    feature_names_in_ : ndarray of str
        The columns of a frame; absent without one.
    out_activation_ : str
        Behind the last layer.
"""

NOTES = """\
    Weights, losses and predictions are scikit-learn's to the last digits as long as rounding makes
    no other path; docs/scikit-learn.md says what differs. Parameters are looked at by `fit`.
"""
