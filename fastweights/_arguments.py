"""Arguments that a class or a function does not take, or lacks: refusals that say what it takes."""

from __future__ import annotations

import functools
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from fastweights._importing import imported
from fastweights._refusal import refusal, shown

F = TypeVar("F", bound=Callable[..., Any])

_ONE_WAY = "leave it out: there is one way to run"
_READ = "leave it out: what the layer reads says it"
_LENGTH = {"max_new_tokens": "write length"}
_ROWS_COUNT = {"weights": "write sample_weight"}

#: Of arguments that Keras or PyTorch has, and what to write instead where no name here is like it:
#: by the class, one of its bases, or the function that is called.
_MEANT = {
    "Layer": {
        "batch_input_shape": "write input_shape, without the rows",
        "embed_dim": "key_dim is embed_dim // num_heads",
        "implementation": _ONE_WAY,
        "in_features": _READ,
        "input_length": _READ,
        "out_features": "write units",
        "time_major": "steps are the axis behind the rows: np.swapaxes(x, 0, 1)",
        "use_cudnn": _ONE_WAY,
        "weights": "layer.set_weights([...]) once the model is built",
    },
    "LBFGS": {
        "line_search_fn": "leave it out: it searches by the strong conditions of Wolfe",
        "max_eval": "write max_line_search, passes over the data that one search may take",
        "max_iter": "leave it out: an epoch of fit is one step",
    },
    "Optimizer": {
        "betas": "write beta_1 and beta_2",
        "decay": "learning_rate=fw.schedules.InverseTimeDecay(...) is one that decays",
        "lr": "the step size is learning_rate",
        "momentum": "SGD and RMSprop have it; beta_1 is that of Adam and its kin",
    },
    "compile": {"weighted_metrics": "write metrics: they are weighted as the loss is"},
    "generate": _LENGTH,
    "generate_steps": _LENGTH,
    "fit": {
        **_ROWS_COUNT,
        "max_epochs": "write epochs",
        "nb_epoch": "write epochs",
        "eval_set": "write validation_data=(x, y)",
        "steps_per_epoch": "leave it out: the rows of x are an epoch; Model.fit takes generators",
    },
    "load_weights": {
        "by_name": "leave it out: which layer is which is found by names, and by order",
        "strict": "write skip_mismatch=True to leave out what does not fit",
    },
    "save": {
        "overwrite": "leave it out: a file that is there is replaced once the new one is whole",
        "save_format": "leave it out: files are safetensors",
    },
    "save_weights": {"overwrite": "leave it out: a file that is there is replaced"},
    "sweep": {
        "n_iter": "write n_trials",
        "cv": "write folds",
        "scoring": "write monitor, a figure of the history such as 'val_loss'",
        "param_grid": "write space",
        "random_state": "write seed",
        "refit": "leave it out: build(**results.best_params) makes the best network again",
    },
    "evaluate": _ROWS_COUNT,
    "train_on_batch": _ROWS_COUNT,
    "test_on_batch": _ROWS_COUNT,
}


def refuse_unbound(
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    besides: Sequence[str] = (),
) -> None:
    """Raises TypeError where a function cannot be called with these; `besides` it takes as well."""
    inspect = imported("inspect")  # slow to import, and seldom used

    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        pass
    else:
        return
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    taken = [one.name for one in own if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    foreign = [key for key in kwargs if key not in taken]
    if foreign:
        hint = meant(foreign[0], (*taken, *besides), function)
        expected = "no such argument" if hint else ", ".join(taken) or "no arguments"
        got = f"{foreign[0]}={shown(kwargs[foreign[0]])}"
        raise TypeError(refusal(name, got, expected) + hint) from None
    has_self = "self" in signature.parameters
    given, most = len(args) - has_self, sum(one.kind == one.POSITIONAL_OR_KEYWORD for one in own)
    if given > most:
        got = f"{given} argument{'s' * (given != 1)} without names"
        raise TypeError(refusal(name, got, f"at most {most}" if most else "none")) from None
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError as error:  # one of them twice
        raise TypeError(f"{name}: {error}") from None
    needed = [one.name for one in own if one.name in taken and one.default is one.empty]
    missing = [one for one in needed if one not in bound]
    more = ", ..." if len(taken) > len(needed) else ""
    got, expected = f"no {' and no '.join(missing)}", f"{name}({', '.join(needed)}{more})"
    raise TypeError(refusal(name, got, expected)) from None


def refuse_other_functions(
    argument: str,
    function: Any,
    expected: str,
    values: Sequence[Any],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Raises TypeError for what is no function that can be called with these arguments."""
    if not callable(function) or isinstance(function, type):
        is_class = isinstance(function, type)
        got = f"the class {function.__name__}" if is_class else shown(function)
        raise TypeError(refusal(argument, got, expected))
    inspect = imported("inspect")  # slow to import, and seldom used
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a function in C, of which nothing is known
        return
    try:
        signature.bind(*values, **(settings or {}))
    except TypeError as error:
        got = f"one of {signature}: {error}" if settings else f"one of {signature}"
        raise TypeError(refusal(argument, got, expected)) from None


def meant(foreign: str, taken: Sequence[str], function: Callable[..., Any]) -> str:
    """What the refusal of an argument that is not there ends with."""
    for one in function.__mro__ if isinstance(function, type) else (function,):
        if foreign in _MEANT.get(one.__name__, {}):
            return f"; {_MEANT[one.__name__][foreign]}"
    difflib = imported("difflib")  # slow to import, and seldom used

    near = difflib.get_close_matches(foreign, taken, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def telling(function: F) -> F:
    """A function that says what it takes where it is called with something else."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            refuse_unbound(function.__name__, function, args, kwargs)
            raise

    return cast("F", told)


@functools.lru_cache(maxsize=512)
def parameters_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """What a function takes, looked at once: to find it out takes longer than most calls."""
    return imported("inspect").signature(function).parameters


class Telling(ABCMeta):
    """Of classes that do so."""

    #: What they take besides what their constructors do.
    _besides: ClassVar[tuple[str, ...]] = ()

    @property
    def __signature__(cls) -> Any:
        """What the constructor takes, for `help` and for those who look: see `inspect`.

        What it hands on as ``**settings`` are the arguments by name of the constructor before it.
        """
        inspect = imported("inspect")  # slow to import, and seldom used

        taken: list[Any] = []
        for base in cls.__mro__[:-1]:  # the last one is object
            if "__init__" not in vars(base):
                continue
            _, *own = inspect.signature(vars(base)["__init__"]).parameters.values()
            hands_on = bool(own) and own[-1].name == "settings"
            if hands_on:
                own.pop()
            names = {one.name for one in taken}  # one that has its own default hides the base's
            taken += [
                one
                for one in own
                if not taken or (one.kind == one.KEYWORD_ONLY and one.name not in names)
            ]
            if not hands_on:
                break
        return inspect.Signature(taken)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except TypeError:
            refuse_unbound(cls.__name__, cls, args, kwargs, cls._besides)
            raise
