"""A learning rate that falls along half a cosine from epoch to epoch: a callback of one's own."""

import math
from collections.abc import Mapping

import fastweights as fw


class CosineDecay(fw.callbacks.Callback):
    """From `highest` to almost nothing over so many epochs, after a few in which it rises."""

    def __init__(self, highest: float, epochs: int, rising: int = 0) -> None:
        super().__init__()
        self.highest, self.epochs, self.rising = highest, epochs, rising

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if epoch < self.rising:
            share = (epoch + 1) / (self.rising + 1)
        else:
            done = (epoch - self.rising) / (self.epochs - self.rising)
            share = 0.5 + 0.5 * math.cos(math.pi * done)
        self.model.optimizer.learning_rate = self.highest * max(share, 0.01)
