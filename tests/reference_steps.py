"""The oracle of an optimizer's settings: plain NumPy that shares no code with the library."""

from __future__ import annotations

import fnmatch
import math

import numpy as np


class Plain:
    """Keras's order of things, with the settings by their names.

    One batch: its gradients are added to those before or, with the last batch of a step, their mean
    is clipped; weights lose their decay; the rule moves them; averages follow.
    """

    def __init__(self, weights, names, rule, rate, **settings):
        self.w = [w.astype(float).copy() for w in weights]
        self.names, self.rule, self.rate, self.set = names, rule, rate, settings
        self.waiting = [np.zeros_like(w) for w in self.w]
        self.averages = [w.copy() for w in self.w]
        self.memory = [{} for _ in self.w]
        self.batches = self.t = 0

    def step(self, gradients):
        batches = self.set.get("gradient_accumulation_steps") or 1
        before = self.batches // batches
        if (self.batches + 1) % batches == 0:
            if batches > 1:
                gradients = [
                    (g + sum_) / batches for g, sum_ in zip(gradients, self.waiting, strict=True)
                ]
                self.waiting = [np.zeros_like(w) for w in self.w]
            self.move(self.clipped(gradients))
        else:
            self.waiting = [g + sum_ for g, sum_ in zip(gradients, self.waiting, strict=True)]
        if self.set.get("use_ema"):
            kept = self.set.get("ema_momentum", 0.99) if before > 0 else 0.0
            self.averages = [
                kept * a + (1 - kept) * w for a, w in zip(self.averages, self.w, strict=True)
            ]
            often = self.set.get("ema_overwrite_frequency")
            if often and (before + 1) % often == 0:
                self.w = [a.copy() for a in self.averages]
        self.batches += 1

    def clipped(self, gradients):
        if limit := self.set.get("clipvalue"):
            return [np.clip(g, -limit, limit) for g in gradients]
        norms = [math.sqrt(np.sum(g**2)) for g in gradients]
        if limit := self.set.get("clipnorm"):
            return [g * limit / max(n, limit) for g, n in zip(gradients, norms, strict=True)]
        if limit := self.set.get("global_clipnorm"):
            norm = math.sqrt(sum(n**2 for n in norms))
            return [g * limit / max(norm, limit) for g in gradients]
        return gradients

    def factor(self, setting, name):
        product = 1.0
        for pattern, factor in (self.set.get(setting) or {}).items():
            if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name.split("/")[0], pattern):
                product *= factor
        return product

    def move(self, gradients):
        self.t += 1
        decay = self.set.get("weight_decay")
        decay = decay(self.batches) if callable(decay) else decay or 0.0
        rate = self.rate(self.batches) if callable(self.rate) else self.rate
        for k, (name, g) in enumerate(zip(self.names, gradients, strict=True)):
            own = rate * self.factor("learning_rate_factors", name)
            w = self.w[k] * (1 - own * decay * self.factor("weight_decay_factors", name))
            self.w[k] = self.rule(w, g, own, self.t, self.memory[k])


def sgd(w, g, rate, t, memory):
    return w - rate * g


def momentum(w, g, rate, t, memory):
    memory["v"] = 0.9 * memory.get("v", 0.0) - rate * g
    return w + memory["v"]


def adam(w, g, rate, t, memory):
    memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0.0) + 0.001 * g**2
    m, v = memory["m"] / (1 - 0.9**t), memory["v"] / (1 - 0.999**t)
    return w - rate * m / (np.sqrt(v) + 1e-7)
