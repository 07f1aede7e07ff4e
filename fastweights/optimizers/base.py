"""What all optimizers are, and what one remembers about a model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch
from fastweights._core import plan as _plan
from fastweights._sealed import Sealed


class Optimizer(Sealed):
    """Base of all optimizers.

    A subclass names its kernel and lists the numbers that the kernel wants. Settings are fixed but
    for the learning rate: models keep memory for the kernel that they chose.
    """

    #: Name of the compiled kernel.
    kernel: str
    #: How many of `numbers`, the last ones, run on from step to step.
    running: ClassVar[int] = 0
    #: Whether it looks at gradients of single rows.
    takes_rows_alone: ClassVar[bool] = False
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("update_step", "apply_gradients", "apply", "build", "get_config"),
        "sgd or adam with settings of your own; for a step of your own, model.forward, "
        "model.backward, and what you do with model.parameters and model.gradients",
    )

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """Step size; may be changed between and, by a callback, during fits."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = _check.number("learning_rate", value, minimum=0.0)

    def numbers(self) -> list[float]:
        """The kernel's numbers before the first step, the learning rate first."""
        return [self.learning_rate]

    def largest_running(self) -> list[float]:
        """What the numbers that run on are at most, whatever steps there were."""
        numbers = self.numbers()
        return numbers[len(numbers) - self.running :]

    def slots(self, dtype: np.dtype) -> int:
        """How many vectors of the parameters' size it keeps."""
        return _plan.update_slots(_dispatch.kernels(dtype).table, self.kernel)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {"name": type(self).__name__, "learning_rate": self.learning_rate}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items() if k != "name")
        return f"{type(self).__name__}({arguments})"


class Memory:
    """What one optimizer remembers about one model: its state vectors and its running numbers.

    Parameters
    ----------
    vectors : ndarray (slots * parameters,)
        In the model's dtype, one vector after the other.
    numbers : ndarray of float64
        The kernel's numbers, the learning rate first.
    """

    def __init__(self, vectors: np.ndarray, numbers: np.ndarray) -> None:
        self.vectors, self.numbers = vectors, numbers

    @classmethod
    def empty(cls, optimizer: Optimizer, size: int, dtype: np.dtype) -> Memory:
        """That of a model of `size` parameters before the first step."""
        vectors = np.zeros(optimizer.slots(dtype) * size, dtype)
        return cls(vectors, np.array(optimizer.numbers(), np.float64))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All of it."""
        return self.vectors, self.numbers
