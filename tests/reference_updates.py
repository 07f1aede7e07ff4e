"""A step of each optimizer, as its paper or Keras writes it, in plain NumPy; and settings to try.

The oracle of `test_optimizers.py` and `test_update_rules.py`. ``step(w, g)`` is the next w.
"""

import numpy as np

from fastweights import optimizers


class SGD:
    """w -= learning_rate * g"""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def step(self, w, g):
        return w - self.learning_rate * g


class Momentum:
    """v = momentum v - learning_rate g;  w += v (Polyak 1964)"""

    def __init__(self, learning_rate, momentum):
        self.learning_rate, self.momentum, self.v = learning_rate, momentum, 0.0

    def step(self, w, g):
        self.v = self.momentum * self.v - self.learning_rate * g
        return w + self.v


class Nesterov(Momentum):
    """v as above;  w += momentum v - learning_rate g (Sutskever et al. 2013)"""

    def step(self, w, g):
        self.v = self.momentum * self.v - self.learning_rate * g
        return w + self.momentum * self.v - self.learning_rate * g


class Adam:
    """Kingma & Ba 2015, Algorithm 1; with `amsgrad` Reddi, Kale & Kumar 2018.

    With `hat` the end of their section 2, where epsilon is beside the root of another v.
    """

    def __init__(
        self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, hat=False
    ):
        self.learning_rate, self.epsilon, self.amsgrad = learning_rate, epsilon, amsgrad
        self.hat = hat
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.m = self.v = self.largest = 0.0
        self.t = 0

    def step(self, w, g):
        self.t += 1
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * g
        self.v = self.beta_2 * self.v + (1 - self.beta_2) * g**2
        self.largest = np.maximum(self.largest, self.v)
        m = self.m / (1 - self.beta_1**self.t)
        v = self.largest if self.amsgrad else self.v
        if self.hat:
            rate = self.learning_rate * np.sqrt(1 - self.beta_2**self.t)
            return w - rate * m / (np.sqrt(v) + self.epsilon)
        v = v / (1 - self.beta_2**self.t)
        return w - self.learning_rate * m / (np.sqrt(v) + self.epsilon)


class Adamax:
    """Kingma & Ba 2015, section 7.1, with an epsilon as Keras has it."""

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.m = self.u = 0.0
        self.t = 0

    def step(self, w, g):
        self.t += 1
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * g
        self.u = np.maximum(self.beta_2 * self.u, abs(g))
        rate = self.learning_rate / (1 - self.beta_1**self.t)
        return w - rate * self.m / (self.u + self.epsilon)


class Nadam:
    """Dozat 2015, with Keras 3's schedule of momentum."""

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.m = self.v = 0.0
        self.t, self.product = 0, 1.0

    def momentum(self, t):
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def step(self, w, g):
        self.t += 1
        now, ahead = self.momentum(self.t), self.momentum(self.t + 1)
        self.product *= now
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * g
        self.v = self.beta_2 * self.v + (1 - self.beta_2) * g**2
        m = ahead * self.m / (1 - self.product * ahead) + (1 - now) * g / (1 - self.product)
        v = self.v / (1 - self.beta_2**self.t)
        return w - self.learning_rate * m / (np.sqrt(v) + self.epsilon)


class Lion:
    """Chen et al. 2023, Algorithm 2."""

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.99):
        self.learning_rate, self.beta_1, self.beta_2, self.m = learning_rate, beta_1, beta_2, 0.0

    def step(self, w, g):
        direction = np.sign(self.beta_1 * self.m + (1 - self.beta_1) * g)
        self.m = self.beta_2 * self.m + (1 - self.beta_2) * g
        return w - self.learning_rate * direction


class RMSprop:
    """Hinton 2012; centered: Graves 2013; epsilon as Keras has it."""

    def __init__(self, learning_rate, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
        self.learning_rate, self.rho, self.momentum = learning_rate, rho, momentum
        self.epsilon, self.centered = epsilon, centered
        self.v = self.a = self.b = 0.0

    def step(self, w, g):
        self.v = self.rho * self.v + (1 - self.rho) * g**2
        self.a = self.rho * self.a + (1 - self.rho) * g
        spread = np.maximum(self.v - self.a**2, 0.0) if self.centered else self.v
        change = self.learning_rate * g / np.sqrt(spread + self.epsilon)
        self.b = self.momentum * self.b + change
        return w - self.b


class Adagrad:
    """Duchi, Hazan & Singer 2011; epsilon as Keras has it."""

    def __init__(self, learning_rate, start=0.1, epsilon=1e-7):
        self.learning_rate, self.n, self.epsilon = learning_rate, start, epsilon

    def step(self, w, g):
        self.n = self.n + g**2
        return w - self.learning_rate * g / np.sqrt(self.n + self.epsilon)


class Adadelta:
    """Zeiler 2012, Algorithm 1, with a learning rate."""

    def __init__(self, learning_rate, rho=0.95, epsilon=1e-7):
        self.learning_rate, self.rho, self.epsilon = learning_rate, rho, epsilon
        self.n = self.u = 0.0

    def step(self, w, g):
        self.n = self.rho * self.n + (1 - self.rho) * g**2
        d = np.sqrt(self.u + self.epsilon) / np.sqrt(self.n + self.epsilon) * g
        self.u = self.rho * self.u + (1 - self.rho) * d**2
        return w - self.learning_rate * d


class Rprop:
    """Riedmiller & Braun 1993, as PyTorch has it."""

    def __init__(self, learning_rate, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
        self.size, self.etas, self.step_sizes, self.before = learning_rate, etas, step_sizes, 0.0

    def step(self, w, g):
        agrees = np.sign(g) * np.sign(self.before)
        factor = np.where(agrees > 0, self.etas[1], np.where(agrees < 0, self.etas[0], 1.0))
        self.size = np.clip(self.size * factor, *self.step_sizes)
        self.before = np.where(agrees < 0, 0.0, g)
        return w - np.sign(self.before) * self.size


class Decayed:
    """w -= learning_rate * weight_decay * w, then a step of the rule (Loshchilov & Hutter 2019)."""

    def __init__(self, rule, learning_rate, weight_decay):
        self.rule, self.share = rule, learning_rate * weight_decay

    def step(self, w, g):
        return self.rule.step(w - self.share * w, g)


#: An optimizer, and what makes its oracle.
CASES = {
    "sgd": (optimizers.SGD(0.1), lambda: SGD(0.1)),
    "momentum": (optimizers.SGD(0.05, momentum=0.9), lambda: Momentum(0.05, 0.9)),
    "much momentum": (optimizers.SGD(0.01, momentum=0.99), lambda: Momentum(0.01, 0.99)),
    "nesterov": (
        optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: Nesterov(0.05, 0.9),
    ),
    "adam": (optimizers.Adam(0.02), lambda: Adam(0.02)),
    "adam with other numbers": (
        optimizers.Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=0.1),
        lambda: Adam(0.01, 0.5, 0.9, 0.1),
    ),
    "adam without memory": (
        optimizers.Adam(0.01, beta_1=0.0, beta_2=0.0, epsilon=1e-3),
        lambda: Adam(0.01, 0.0, 0.0, 1e-3),
    ),
    "amsgrad": (optimizers.Adam(0.02, amsgrad=True), lambda: Adam(0.02, amsgrad=True)),
    "amsgrad with other numbers": (
        optimizers.Adam(0.01, 0.0, 0.5, 0.1, amsgrad=True),
        lambda: Adam(0.01, 0.0, 0.5, 0.1, amsgrad=True),
    ),
    "adam with epsilon hat": (
        optimizers.Adam(0.01, 0.5, 0.9, 0.1, epsilon_hat=True),
        lambda: Adam(0.01, 0.5, 0.9, 0.1, hat=True),
    ),
    "amsgrad with epsilon hat": (
        optimizers.Adam(0.01, 0.8, 0.99, 0.1, amsgrad=True, epsilon_hat=True),
        lambda: Adam(0.01, 0.8, 0.99, 0.1, amsgrad=True, hat=True),
    ),
    "all momentum": (optimizers.SGD(1e-3, momentum=1.0), lambda: Momentum(1e-3, 1.0)),
    "adamw": (optimizers.AdamW(0.02), lambda: Decayed(Adam(0.02), 0.02, 0.004)),
    "adamw with other numbers": (
        optimizers.AdamW(0.02, 3.0, 0.8, 0.9, 0.1, amsgrad=True),
        lambda: Decayed(Adam(0.02, 0.8, 0.9, 0.1, amsgrad=True), 0.02, 3.0),
    ),
    "adamax": (optimizers.Adamax(0.02), lambda: Adamax(0.02)),
    "adamax with other numbers": (
        optimizers.Adamax(0.01, 0.0, 0.5, 0.1),
        lambda: Adamax(0.01, 0.0, 0.5, 0.1),
    ),
    "nadam": (optimizers.Nadam(0.02), lambda: Nadam(0.02)),
    "nadam with other numbers": (
        optimizers.Nadam(0.01, 0.5, 0.9, 0.1),
        lambda: Nadam(0.01, 0.5, 0.9, 0.1),
    ),
    "nadam without memory": (
        optimizers.Nadam(0.01, 0.0, 0.0),
        lambda: Nadam(0.01, 0.0, 0.0),
    ),
    "lion": (optimizers.Lion(0.01), lambda: Lion(0.01)),
    "lion with other numbers": (optimizers.Lion(0.01, 0.1, 0.0), lambda: Lion(0.01, 0.1, 0.0)),
    "rmsprop": (optimizers.RMSprop(0.01), lambda: RMSprop(0.01)),
    "rmsprop with other numbers": (
        optimizers.RMSprop(0.01, 0.0, epsilon=0.1),
        lambda: RMSprop(0.01, 0.0, epsilon=0.1),
    ),
    "rmsprop with momentum": (
        optimizers.RMSprop(0.01, momentum=0.99),
        lambda: RMSprop(0.01, momentum=0.99),
    ),
    "centered rmsprop": (
        optimizers.RMSprop(0.01, centered=True),
        lambda: RMSprop(0.01, centered=True),
    ),
    "centered rmsprop with momentum": (
        optimizers.RMSprop(0.01, 0.5, 0.9, 0.1, centered=True),
        lambda: RMSprop(0.01, 0.5, 0.9, 0.1, centered=True),
    ),
    "adagrad": (optimizers.Adagrad(0.1), lambda: Adagrad(0.1)),
    "adagrad with other numbers": (
        optimizers.Adagrad(0.1, 0.0, 0.1),
        lambda: Adagrad(0.1, 0.0, 0.1),
    ),
    "adadelta": (optimizers.Adadelta(1.0), lambda: Adadelta(1.0)),
    "adadelta with other numbers": (
        optimizers.Adadelta(0.1, 0.0, 0.1),
        lambda: Adadelta(0.1, 0.0, 0.1),
    ),
    "rprop": (optimizers.Rprop(), lambda: Rprop(0.01)),
    "rprop with other numbers": (
        optimizers.Rprop(0.1, (0.8, 1.7), (0.01, 1.0)),
        lambda: Rprop(0.1, (0.8, 1.7), (0.01, 1.0)),
    ),
}
