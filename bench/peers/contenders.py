"""The contenders: each trains a task's network as its own users would, at its best.

All begin with the task's weights and see the rows of each epoch in a new order. Peers are imported
when they are first used, since none has to be there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastweights as fw
from bench.peers.networks import MOMENTUM, Chain, Pass, Weights
from bench.peers.workloads import LOSSES, Task, Workload
from fastweights import layers, losses, optimizers

#: Adam's numbers beside the learning rate.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Contender:
    """A library at work on one task."""

    name: str
    #: What is imported, and what pip knows it by.
    module: str
    distribution: str

    def train(self, epochs: int) -> None:
        """So many epochs on from where it stands; done when this returns."""
        raise NotImplementedError

    def weights(self) -> Weights:
        """Where it stands."""
        raise NotImplementedError

    @classmethod
    def can_train(cls, workload: Workload) -> bool:
        """Whether the library has such networks."""
        return True

    @classmethod
    def is_there(cls) -> bool:
        """Whether the library can be imported."""
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls) -> str:
        """The version that is there."""
        return importlib.metadata.version(cls.distribution)


class Fastweights(Contender):
    """`fit`, as a user calls it."""

    name, module, distribution = "fastweights", "fastweights", "fastweights"

    @classmethod
    def version(cls) -> str:
        return fw.__version__

    def __init__(self, task: Task, precision: str = "highest", threads: int | None = None) -> None:
        self.task, self.precision, self.threads = task, precision, threads
        network = task.workload.network
        self.model, self.y = network.model(), network.targets(task.y)
        self.x = task.x if len(task.x) > 1 else task.x[0]
        for own, weight in zip(self._parameters(), task.weights, strict=True):
            own[...] = weight
        optimizer = {
            "sgd": lambda rate: optimizers.SGD(rate),
            "adam": lambda rate: optimizers.Adam(rate, BETA_1, BETA_2, EPSILON),
        }[task.optimizer](task.learning_rate)
        classes = losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, "mse" if network.loss == "mse" else classes)

    def train(self, epochs: int) -> None:
        fw.set_matmul_precision(self.precision)
        batch = self.task.workload.batch
        with fw.threads(self.threads or fw.get_num_threads()):
            self.model.fit(self.x, self.y, batch, epochs, verbose=0, shuffle=True)

    def _parameters(self) -> Weights:
        """Views of what is trained, as networks have them."""
        return [view for layer in self.model.layers for view in _views(layer)]

    def weights(self) -> Weights:
        return [weight.copy() for weight in self._parameters()]

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a . b, as a layer without bias or activation."""
        fw.set_matmul_precision(self.precision)
        model = fw.Sequential([layers.Dense(b.shape[1], use_bias=False)], b.shape[0])
        model.set_weights([b])
        return model.predict(a)


def _views(layer: layers.Layer) -> Weights:
    """What is trained of a layer of this library."""
    weights = layer.weights
    if isinstance(layer, layers.LSTM):
        return [gate for weight in weights.values() for gate in np.split(weight, 4, -1)]
    if isinstance(layer, layers.GRU):
        # The gates z, r, h; in PyTorch r, z, n.
        kernel, recurrent, biases = weights.values()
        apart = [np.split(one, 3, -1) for one in (kernel, recurrent, *biases)]
        return [gates[which] for gates in apart for which in (1, 0, 2)]
    if isinstance(layer, layers.MultiHeadAttention):
        *given, kernel, bias = weights.values()
        kernels = [one.reshape(len(one), -1) for one in given[::2]]
        biases = [one.reshape(-1) for one in given[1::2]]
        return [*kernels, *biases, kernel.reshape(-1, kernel.shape[-1]), bias]
    return [weight for name, weight in weights.items() if not name.startswith("moving_")]


class Torch(Contender):
    """PyTorch, eager: the loop of its tutorials without a DataLoader, rows picked by index."""

    name, module, distribution = "PyTorch", "torch", "torch"

    def __init__(self, task: Task, precision: str = "highest") -> None:
        import torch

        self.torch, self.task, self.precision = torch, task, precision
        self.batch = task.workload.batch
        self.x, self.y = [torch.from_numpy(one) for one in task.x], torch.from_numpy(task.y)
        self.model = task.workload.network.module(torch)
        with torch.no_grad():
            for own, weight in zip(self._parameters(), task.weights, strict=True):
                own.copy_(torch.from_numpy(weight.reshape(own.shape)))
        rate, parameters = task.learning_rate, self.model.parameters()
        self.optimizer = {
            "sgd": lambda: torch.optim.SGD(parameters, rate, fused=True),
            "adam": lambda: torch.optim.Adam(
                parameters, rate, (BETA_1, BETA_2), EPSILON, fused=True
            ),
        }[task.optimizer]()

    def train(self, epochs: int) -> None:
        self.torch.set_float32_matmul_precision(self.precision)
        x, y, model, optimizer = self.x, self.y, self.model, self.optimizer
        loss_of = getattr(self, f"_{self.task.workload.network.loss}")
        for _ in range(epochs):
            for rows in self.torch.randperm(len(y)).split(self.batch):
                found = model(*(one.index_select(0, rows) for one in x))
                loss = loss_of(found, y.index_select(0, rows))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

    def _parameters(self) -> list[Any]:
        """Views of the parameters, kernels as (inputs, outputs), gates apart."""
        return [
            view
            for module in self.model.modules()
            for parameter in module.parameters(recurse=False)
            if parameter.requires_grad
            for view in self._views(module, parameter)
        ]

    def _views(self, module: Any, parameter: Any) -> list[Any]:
        nn = self.torch.nn
        if isinstance(module, nn.Conv2d) and parameter.ndim == 4:
            return [parameter.permute(2, 3, 1, 0)]
        parts = {nn.LSTM: 4, nn.GRU: 3}.get(type(module), getattr(module, "parts", 1))
        kernels = parameter.ndim == 2 and not isinstance(module, nn.Embedding)
        return [part.T if kernels else part for part in parameter.chunk(parts)]

    def _mse(self, found: Any, y: Any) -> Any:
        return self.torch.nn.functional.mse_loss(found, y.expand_as(found))

    def _crossentropy(self, found: Any, y: Any) -> Any:
        return self.torch.nn.functional.cross_entropy(found.flatten(0, -2), y.flatten().long())

    def weights(self) -> Weights:
        return [
            own.detach().numpy().reshape(weight.shape).copy()
            for own, weight in zip(self._parameters(), self.task.weights, strict=True)
        ]

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a . b at this precision."""
        self.torch.set_float32_matmul_precision(self.precision)
        return (self.torch.from_numpy(a) @ self.torch.from_numpy(b)).numpy()


class Jax(Contender):
    """JAX: the whole epoch is one compiled call, a scan over its batches, its state donated.

    NumPy draws the order of the rows: JAX's own permutation sorts, which on a CPU takes longer than
    the steps of a small network. Dropout draws by JAX's usual generator, the fastest on a CPU.
    """

    name, module, distribution = "JAX", "jax", "jax"

    def __init__(self, task: Task) -> None:
        import jax
        from jax import numpy as jnp

        self.jax, self.random = jax, np.random.default_rng(0)
        self.shape = (task.workload.steps, task.workload.batch)
        self.x, self.y = jax.tree.map(jnp.asarray, (task.x, task.y))
        network, rate = task.workload.network, task.learning_rate

        def loss_of(weights: Any, beside: Any, x: Any, y: Any) -> Any:
            run = JaxPass(jax, beside)
            found = network.compute(jnp, weights, x, run)
            return LOSSES[network.loss](jnp, found, y), run.after()

        def sgd(state: Any, gradients: Any) -> Any:
            return (jax.tree.map(lambda w, g: w - rate * g, state[0], gradients),)

        def adam(state: Any, gradients: Any) -> Any:
            weights, m, v, t = state
            t = t + 1
            m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
            v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
            step, root = rate / (1 - BETA_1**t), jnp.sqrt(1 - BETA_2**t)

            def moved(w: Any, m: Any, v: Any) -> Any:
                return w - step * m / (jnp.sqrt(v) / root + EPSILON)

            return jax.tree.map(moved, weights, m, v), m, v, t

        update = {"sgd": sgd, "adam": adam}[task.optimizer]

        def epoch(state: Any, x: Any, y: Any, order: Any) -> Any:
            def step(state: Any, rows: Any) -> Any:
                trained, beside = state
                picked = [one[rows] for one in x]
                gradients, beside = jax.grad(loss_of, has_aux=True)(
                    trained[0], beside, picked, y[rows]
                )
                return (update(trained, gradients), beside), None

            return jax.lax.scan(step, state, order)[0]

        self.epoch = jax.jit(epoch, donate_argnums=0)
        weights = [jnp.array(weight) for weight in task.weights]
        trained: Any = (weights,)
        if task.optimizer == "adam":
            moments = [[jnp.zeros_like(w) for w in weights] for _ in range(2)]
            trained = (weights, *moments, jnp.float32(0))
        moving = [(jnp.zeros(columns), jnp.ones(columns)) for columns in network.moving]
        self.state: Any = (trained, (jax.random.key(0), moving))

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            order = self.random.permutation(len(self.y)).astype(np.int32).reshape(self.shape)
            self.state = self.epoch(self.state, self.x, self.y, order)
        self.jax.block_until_ready(self.state)

    def weights(self) -> Weights:
        return [np.array(weight) for weight in self.state[0][0]]


class JaxPass(Pass):
    """A step's: what it draws, and the moving figures after it."""

    def __init__(self, jax: Any, beside: Any) -> None:
        self.jax, (self.key, moving) = jax, beside
        self.moving, self.moved = list(moving), []

    def drop(self, x: Any, rate: float) -> Any:
        self.key, key = self.jax.random.split(self.key)
        kept = self.jax.random.bernoulli(key, 1 - rate, x.shape)
        return self.jax.numpy.where(kept, x / (1 - rate), 0)

    def saw(self, mean: Any, variance: Any) -> None:
        before = self.moving.pop(0)
        found = (mean, variance)
        self.moved.append(
            tuple(
                MOMENTUM * was + (1 - MOMENTUM) * self.jax.lax.stop_gradient(now)
                for was, now in zip(before, found, strict=True)
            )
        )

    def steps(self, step: Callable[[Any, Any], Any], state: Any, given: Any) -> Any:
        return self.jax.lax.scan(lambda state, one: (step(state, one), None), state, given)[0]

    def after(self) -> Any:
        """What the next step begins with."""
        return self.key, self.moved


class ScikitLearn(Contender):
    """scikit-learn's MLPRegressor, going on with `warm_start`."""

    name, module, distribution = "scikit-learn", "sklearn", "scikit-learn"

    @classmethod
    def can_train(cls, workload: Workload) -> bool:
        return isinstance(workload.network, Chain)

    def __init__(self, task: Task) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self.task, self.ends_early = task, ConvergenceWarning
        network = task.workload.network
        assert isinstance(network, Chain)
        # Its gradient is that of half the squared error, summed over a row's outputs.
        scale = 2 / network.widths[-1] if task.optimizer == "sgd" else 1
        self.model = MLPRegressor(
            hidden_layer_sizes=network.widths[1:-1],
            activation=network.activation,
            solver=task.optimizer,
            batch_size=task.workload.batch,
            learning_rate_init=task.learning_rate * scale,
            momentum=0.0,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            alpha=0.0,
            n_iter_no_change=np.inf,
            warm_start=True,
            random_state=np.random.RandomState(0),  # the only kind it takes
        )
        # A first step makes the weights, which are then replaced.
        self._fit(1, task.workload.batch)
        self.model.coefs_ = [kernel.copy() for kernel in task.weights[::2]]
        self.model.intercepts_ = [bias.copy() for bias in task.weights[1::2]]

    def _fit(self, epochs: int, rows: int) -> None:
        x, y = self.task.x[0][:rows], self.task.y[:rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.ends_early)
            self.model.set_params(max_iter=epochs).fit(x, y if y.shape[1] > 1 else y[:, 0])

    def train(self, epochs: int) -> None:
        self._fit(epochs, self.task.workload.rows)

    def weights(self) -> Weights:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [np.array(weight) for pair in pairs for weight in pair]


CONTENDERS: dict[str, type[Contender]] = {
    contender.name: contender for contender in (Fastweights, Torch, Jax, ScikitLearn)
}
OURS, *PEERS = CONTENDERS
