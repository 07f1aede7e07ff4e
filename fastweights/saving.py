"""Models as safetensors files.

Tensors carry the names and the layout of the equal ``torch.nn.Sequential``, in which every
activation is a module of its own: ``0.weight`` (out, in) and ``0.bias`` of a first Linear, and so
on. The architecture is JSON in the file's metadata. What the optimizer of a trained model remembers
is one tensor more, ``optimizer.state`` (vectors, parameters) in the order of the flat vector.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import (
    _check,
    _copying,
    _files,
    _json,
    _registry,
    _resuming,
    _weight_files,
    optimizers,
    serialization,
)
from fastweights._building import Built
from fastweights._feeding import Names, known_names
from fastweights._importing import imported
from fastweights._own import is_of_somebody
from fastweights._plans import Compiled
from fastweights._refusal import UnknownError
from fastweights._torch_forms import Form, activation_modules, form_of
from fastweights._torch_orders import Orders
from fastweights.layers import Layer, Variable
from fastweights.layers.ops import Shape
from fastweights.losses.own import known_loss
from fastweights.metrics.functions import known_metric
from fastweights.models import Model, unbuilt
from fastweights.optimizers.own import known_optimizer

if TYPE_CHECKING:
    from fastweights.ensembles import Ensemble

FORMAT = "1"
STATE = "optimizer.state"
#: What the command line keeps beside its models: how a table becomes their features.
TABLE = "fastweights.table"
#: Or of which size its images are, and which classes there are.
IMAGES = "fastweights.images"
#: In a file of several models what is told of each, see `ensembles`.
ENSEMBLE = "fastweights.ensemble"
_OWN_KEYS = ("format", "fastweights.format", "fastweights.model")


def _orders(built: Built) -> Orders:
    def owned(layer: Layer) -> list[Variable]:
        return [built.owned[number][1] for number in built.weights_of(layer)]

    return Orders(built.topology, built.shapes, owned)


def _forms(built: Built, orders: Orders) -> list[Form | None]:
    """The tensors of each weight, by its number: as in the equal torch module.

    States of rows, which are no weights, have none.
    """
    modules = modules_of(built)
    forms: list[Form | None] = []
    for owner, part in built.owned:
        if part.of_rows:
            forms.append(None)
            continue
        beside = [built.owned[other][1] for other in built.weights_of(owner)]
        form = orders.form(owner, part, form_of(owner, part, beside))
        names = tuple(f"{modules[id(owner)]}.{name}" for name in form.names)
        forms.append(form._replace(names=names))
    return forms


def modules_of(built: Built) -> dict[int, str]:
    """What each layer is called in the equal torch module, by the layer's identity."""
    topology = built.topology
    if not topology.is_chain or len(built.layers) < len(topology.calls):
        return {id(layer): str(layer.name) for layer in built.layers}
    names, module = {}, 0
    for layer in built.layers:
        names[id(layer)] = str(module)
        own_module = bool(built.numbers_of(layer)) or not hasattr(layer, "activation")
        module += own_module + activation_modules(layer)
    return names


class Stored:
    """A network's numbers as files have them: the tensors of the equal torch module.

    Attributes
    ----------
    shapes : dict of str to tuple
        By the tensors' names.
    unclear : list of Layer
        Of which it cannot be said in which order torch has what they read.
    """

    def __init__(self, built: Built) -> None:
        orders = _orders(built)
        self._built, self._forms, self.unclear = built, _forms(built, orders), orders.unclear
        # One that several variables are pieces of is as long as the last of them says.
        self.shapes: dict[str, Shape] = {
            tensor: (form.begin + shape[0], *shape[1:]) if form.begin else shape
            for form in sorted(filter(None, self._forms), key=lambda form: form.begin)
            for tensor, shape in zip(form.names, form.shapes, strict=True)
        }

    def array(self, number: int, read: Callable[[str], np.ndarray]) -> np.ndarray:
        """The weight of this number, of tensors that `read` gives by their names."""
        form = self._forms[number]
        if form is None:
            raise LookupError(f"no tensors of variable {number}, whose numbers are of rows")
        tensors = [
            read(tensor)[form.begin : form.begin + shape[0]]
            for tensor, shape in zip(form.names, form.shapes, strict=True)
        ]
        return form.read(tensors)

    def tensors(self, vectors: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """All of them, of vectors like parameters and state."""
        pieces: dict[str, dict[int, np.ndarray]] = {}
        for number, form in enumerate(self._forms):
            if form is None:
                continue
            arrays = form.stored(self._built.part(number, vectors))
            for tensor, array in zip(form.names, arrays, strict=True):
                pieces.setdefault(tensor, {})[form.begin] = array
        return {
            tensor: one[0] if len(one) == 1 else np.concatenate([one[key] for key in sorted(one)])
            for tensor, one in pieces.items()
        }


def save(
    model: Model,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str],
    include_optimizer: bool,
) -> None:
    """What `Model.save` does."""
    refuse_other_formats("path", path)
    serialization.write(path, *contents(model, metadata, include_optimizer))


def contents(
    model: Model, metadata: Mapping[str, str], include_optimizer: bool
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a model's file."""
    _copying.refuse_foreign("save", model)
    compiled, vectors, memory = _copying.snapshot(model)
    for what, vector in zip(("parameters", "state"), vectors, strict=True):
        _check.finite(what, vector)
    built = model._built_or_refused()
    description: dict[str, Any] = {"model": model.config()}
    names = known_names(model)
    columns: dict[str, Any] = {} if names.targets is None else {"targets": names.targets}
    if any(names.features):
        columns["features"] = names.features if len(names.features) > 1 else names.features[0]
    if columns:
        description["names"] = columns
    tensors = Stored(built).tensors(vectors)
    if compiled.optimizer is not None:
        description["compile"] = described_training(compiled)
        if include_optimizer:
            description["epochs_trained"] = model.epochs_trained
            description["passes"] = model._progress.passes
            if memory is not None:
                first = memory.numbers.size - compiled.optimizer.running
                description["optimizer_running"] = memory.numbers[first:].tolist()
                description["batches"] = int(memory.batches[0])
                if memory.vectors.size:
                    tensors[STATE] = memory.vectors.reshape(-1, max(built.size, 1))
            place = model._place_in_fit()
            if place is not None:
                description["fit"], arrays = _resuming.described(place)
                tensors.update(arrays)
    text = json.dumps(description)
    size = sum(tensor.nbytes for tensor in tensors.values()) + len(text)
    _json.loads("the model's description", text, size)  # as load will read it
    own = dict(zip(_OWN_KEYS, ("pt", FORMAT, text), strict=True))
    for key in metadata:
        if key in _OWN_KEYS:
            raise ValueError(_check.refusal("metadata", f"the key {key!r}", "a key of your own"))
    return tensors, {**metadata, **own}


def save_weights(model: Model, path: str | os.PathLike[str]) -> None:
    """What `Model.save_weights` does."""
    refuse_other_formats("filepath", path)
    built = model._built_or_refused()
    vectors = built.lock.room_for(built.vectors).keep()
    for what, vector in zip(("parameters", "state"), vectors, strict=True):
        _check.finite(what, vector)
    serialization.write(path, Stored(built).tensors(vectors), {_OWN_KEYS[0]: "pt"})


def described_training(compiled: Compiled) -> dict[str, Any]:
    """What `compile` took, as JSON can hold it and as `compile` takes it again."""
    objectives = compiled.objectives
    found: dict[str, Any] = {
        "optimizer": compiled.training().config(),
        "loss": [one.loss.config() for one in objectives],
        "metrics": [[metric.config() for metric in one.metrics] for one in objectives],
    }
    if len(objectives) == 1:
        found["loss"], found["metrics"] = found["loss"][0], found["metrics"][0]
    if any(one.weight != 1.0 for one in objectives):
        found["loss_weights"] = [one.weight for one in objectives]
    return found


#: Endings of files in formats that other libraries write.
OTHER_FORMATS = (
    ".h5",
    ".hdf5",
    ".keras",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".onnx",
    ".npz",
    ".json",
)


def refuse_other_formats(argument: str, path: Any) -> None:
    """Raises ValueError for a name that promises another format than what is written."""
    name = _files.path_text(path)
    if name.lower().endswith(OTHER_FORMATS):
        expected = "a name that ends in .safetensors, which is what is written"
        raise ValueError(_check.refusal(argument, repr(name), expected))


def load(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Model | Ensemble:
    """Reads a model that `Model.save` wrote, compiled as it was; it goes on as it would have.

    Of the file of an ensemble it is the `fastweights.Ensemble`.

    Parameters
    ----------
    path : path
    custom_objects : dict, optional
        Layers and losses of your own by their names, with the package (``"my_package>Scale"``) or
        without; they go before those of `fastweights.register_layer` and `register_loss`. One dict
        serves many files: what a file has nothing of changes nothing, nor does the name of a layer
        of this library.

    Raises
    ------
    ValueError
        The file is damaged, no model of this library, or has a layer that is not known here.
    OSError
        The file cannot be read.
    """
    model = loaded(path, custom_objects)
    if TABLE in model._metadata:
        warnings.warn(
            f"load: {_files.path_text(path)} is the model of a table: it takes features that were "
            "prepared as the file says, not the table's own numbers; 'fastweights predict' "
            "prepares them, from Python fastweights.table.TableModel.load(path).predict does",
            stacklevel=2,
        )
    return model


def loaded(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Model | Ensemble:
    """As `load`, for those who know what else is in the file."""
    _weight_files.refuse_models_of_others(path)
    with serialization.opened(path) as file:
        name = _files.path_text(path)
        if ENSEMBLE in file.metadata:
            ensembles = imported("fastweights.ensembles")  # seldom needed
            return ensembles.model_of(file, name, custom_objects)
        return model_of(file, name, custom_objects)


def read(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Model:
    """As `load`, for those who know what else is in the file."""
    return with_place(path, custom_objects)[0]


def with_place(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> tuple[Model, _resuming.Place | None]:
    """As `read`, and where in a fit the model was when it was saved; None: in none."""
    _weight_files.refuse_models_of_others(path)
    with serialization.opened(path) as file:
        return _model_and_place(file, _files.path_text(path), custom_objects)


def model_of(
    file: serialization.Tensors, name: str, custom_objects: Mapping[str, Any] | None
) -> Model:
    """The model whose tensors and metadata these are; messages call them `name`."""
    return _model_and_place(file, name, custom_objects)[0]


def _model_and_place(
    file: serialization.Tensors, name: str, custom_objects: Mapping[str, Any] | None
) -> tuple[Model, _resuming.Place | None]:
    """The same, and where in a fit it was when it was saved; None: in none."""
    custom = _registry.custom_objects(custom_objects)
    found = file.metadata.get("fastweights.format", "none")
    if found != FORMAT:
        expected = f"a fastweights model of format {FORMAT}"
        if found == "none":
            expected += "; model.load_weights reads files of weights alone"
        if ENSEMBLE in file.metadata:
            expected = "one model; fastweights.load reads ensembles"
        raise ValueError(_check.refusal(name, f"model format {found!r:.80}", expected))
    try:
        description = description_in(file)
        model, shapes = unbuilt(description["model"], custom)
        if shapes is None:
            raise ValueError(_check.refusal("input_shape", "none", "a list of sizes"))
        if "compile" in description:
            model.compile(**_with_own(description["compile"], custom))
        built = Built(model._topology, shapes, model.dtype)
        numbers = _numbers(model, description)
        batches = np.array(
            [_check.whole("batches", description.get("batches", 0), 0, maximum=2**53)], np.int64
        )
        model._names = _names(description, built)
        epochs = description.get("epochs_trained", 0)
        model._progress.epochs = _check.whole("epochs_trained", epochs, 0, maximum=2**48)
        passes = description.get("passes", 0)
        model._progress.passes = _check.whole("passes", passes, 0, maximum=2**35)
    except UnknownError as error:
        raise UnknownError(f"{name}: {error}") from None
    except (
        ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
    ) as error:  # fmt: skip
        why = " ".join(str(error).split())[:400]
        raise ValueError(f"{name}: the description of the model is damaged: {why}") from error
    stored = Stored(built)
    wanted = dict(stored.shapes)
    state = _state_shape(model, built, numbers)
    if state is not None:
        wanted[STATE] = state
    of_fit = {tensor for tensor in file.tensors if tensor.startswith(_resuming.PREFIX)}
    of_model = {tensor: file.tensors[tensor] for tensor in file.tensors if tensor not in of_fit}
    _refuse_others(name, of_model, wanted, model.dtype)
    place = _place(name, file, description.get("fit"), of_fit)

    def finite(tensor: str) -> np.ndarray:
        array = file.read(tensor)
        _check.finite(f"{name}: tensor {tensor!r}", array)
        return array

    def fill(index: int, variable: Variable, view: np.ndarray) -> None:
        if not variable.of_rows:
            np.copyto(view, stored.array(index, finite))

    built.allocate(fill)
    if numbers is not None:
        vectors = np.zeros(0, model.dtype) if state is None else file.read(STATE).reshape(-1)
        _check.finite(f"{name}: tensor {STATE!r}", vectors)
        model._compiled.memory = optimizers.Memory(vectors, numbers, batches)
    model._metadata = {k: v for k, v in file.metadata.items() if k not in _OWN_KEYS}
    model._take_on(built)
    return model, place


def _place(
    name: str, file: serialization.Tensors, description: Any, tensors: set[str]
) -> _resuming.Place | None:
    """Where in a fit the model was."""
    with _resuming.telling_of_damage(name):
        if description is None:
            if tensors:
                got = f"unknown tensors {sorted(tensors)!r:.80}"
                raise ValueError(_check.refusal("fit", got, "only the model's"))
            return None
        return _resuming.place_of(description, tensors, file.read)


def _with_own(compiled: Any, custom: Mapping[str, Any]) -> dict[str, Any]:
    """What `compile` takes, with what is of somebody's own made of `custom`, or as registered."""
    makers = {
        "loss": ("name", known_loss),
        "metrics": ("kind", known_metric),
        "optimizer": ("name", known_optimizer),
    }
    settings = dict(compiled)

    def made(one: Any, key: str, maker: Callable[..., Any]) -> Any:
        if isinstance(one, list):
            return [made(part, key, maker) for part in one]
        is_own = isinstance(one, dict) and is_of_somebody(one.get(key))
        return maker(one, custom) if is_own else one

    for argument, how in makers.items():
        settings[argument] = made(settings.get(argument), *how)
    return settings


def description_in(file: serialization.Tensors) -> dict[str, Any]:
    """What a model's file says of it beside its numbers."""
    description = _json.loads("the description", file.metadata["fastweights.model"], file.size)
    known = {
        *("model", "compile", "epochs_trained", "passes", "names", "fit"),
        *("optimizer_running", "batches"),
    }
    if not isinstance(description, dict) or not set(description) <= known:
        raise ValueError(f"expected a JSON object of {', '.join(sorted(known))}")
    return description


def _names(description: Mapping[str, Any], built: Built) -> Names:
    """Of the columns of features and targets."""
    given = description.get("names", {})
    if not isinstance(given, dict) or not set(given) <= set(Names._fields):
        raise ValueError(_check.refusal("names", f"{given!r:.80}", ", ".join(Names._fields)))
    features, shapes = given.get("features"), built.input_shapes
    several = features if len(shapes) > 1 and features is not None else [features] * len(shapes)
    if not isinstance(several, list) or len(several) != len(shapes):
        raise ValueError(_check.refusal("names", f"{several!r:.80}", f"{len(shapes)} lists"))
    return Names(
        tuple(
            _columns("features", names, shape) for names, shape in zip(several, shapes, strict=True)
        ),
        _columns("targets", given.get("targets"), None),
    )


def _columns(field: str, names: Any, shape: Shape | None) -> tuple[str, ...] | None:
    """Names of columns, of rows of a shape."""
    if names is None:
        return None
    are_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not are_names or (shape is not None and (len(names),) != shape):
        expected = f"the {field} of rows" + ("" if shape is None else f" of shape {shape}")
        raise ValueError(_check.refusal("names", f"{names!r:.80}", expected))
    return tuple(names)


def _numbers(model: Model, description: Mapping[str, Any]) -> np.ndarray | None:
    """The optimizer's numbers after the steps that it had made; None before the first."""
    given = description.get("optimizer_running")
    if given is None:
        return None
    optimizer = model._compiled.training()
    if not isinstance(given, list) or len(given) != optimizer.running:
        expected = f"{optimizer.running} numbers"
        raise ValueError(_check.refusal("optimizer_running", f"{given!r:.80}", expected))
    numbers = optimizer.numbers()
    first = len(numbers) - len(given)
    for at, (number, most) in enumerate(zip(given, optimizer.largest_running(), strict=True)):
        numbers[first + at] = _check.number("optimizer_running", number, minimum=0.0, maximum=most)
    return np.array(numbers)


def _state_shape(model: Model, built: Built, numbers: np.ndarray | None) -> tuple[int, int] | None:
    """Shape of the optimizer's vectors in the file, which holds none where there is nothing."""
    if numbers is None:
        return None
    count = model._compiled.training().slots(model.dtype)
    return (count, built.size) if count and built.size else None


def _refuse_others(
    file: str,
    tensors: Mapping[str, serialization.Entry],
    wanted: Mapping[str, Shape],
    dtype: np.dtype,
) -> None:
    """Raises ValueError unless the file has tensors of these shapes and dtype, and no others."""
    for name, shape in wanted.items():
        if name not in tensors:
            raise ValueError(_check.refusal(file, f"no tensor {name!r}", "one for each weight"))
        stored = tensors[name]
        if stored.shape != shape or stored.dtype != dtype:
            got = f"{name!r} of shape {stored.shape}, {stored.dtype}"
            raise ValueError(_check.refusal(file, got, f"shape {shape}, {dtype}"))
    unknown = sorted(set(tensors) - set(wanted))
    if unknown:
        raise ValueError(
            _check.refusal(file, f"unknown tensors {unknown!r:.80}", "only the model's")
        )
