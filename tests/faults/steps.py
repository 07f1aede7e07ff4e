"""Faults of an optimizer's settings, with settings that must show them."""

from planted import Fault

STEPPING = "stepping.pxi"
KERNELS = "kernels/stepping.pxi"
BATCH = "batch.pxi"

_AVERAGES = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}
_SEVERAL = {"gradient_accumulation_steps": 3}
_FACTORS = {"learning_rate_factors": {"dense_1": 0.3}}

SETTINGS = {
    Fault(
        "gradients that wait forgotten",
        KERNELS,
        "load_first(g + i, end - i) + «load_first(sums + i, end - i)») / divisor",
        "vzero()",
    ): _SEVERAL,
    Fault(
        "gradients that went kept",
        KERNELS,
        "store_first(sums + i, «vzero()», end - i)",
        "load_first(g + i, end - i)",
    ): _SEVERAL,
    Fault(
        "a sum, not a mean",
        STEPPING,
        "places.end,\n                                   «<double>self.batches_a_step»)",
        "1.0",
    ): _SEVERAL,
    Fault("a step a batch late", STEPPING, "now.moves = «(batch + 1)» % self", "batch"): _SEVERAL,
    Fault("no limit below", KERNELS, "vmax(«-most», load", "vset1(-LARGEST)"): {"clipvalue": 0.02},
    Fault(
        "tail of a norm dropped", KERNELS, "for k in range(«<int>(n - i)»):\n        value", "0"
    ): {"clipnorm": 0.02},
    Fault(
        "norm of one variable for all",
        STEPPING,
        "factor = self.factor_of(0, «self.n_stretches»)",
        "1",
    ): {"global_clipnorm": 0.05},
    Fault("norm of the first for each", STEPPING, "begin, first = end, «last»", "first"): {
        "clipnorm": 0.02
    },
    Fault(
        "prepared before norms were known",
        BATCH,
        "if «prepared_for > 0 and not has_bounds»",
        "False",
    ): {"global_clipnorm": 0.05},
    Fault(
        "first average kept from before the first step",
        STEPPING,
        "self.average_momentum if «before > 0» else",
        "True",
    ): _AVERAGES,
    Fault("average that forgets", KERNELS, "vfma(«kept», load_first(mean", "vzero()"): _AVERAGES,
    Fault(
        "weights overwritten a step late",
        STEPPING,
        "«(before + 1)» % self.overwrite_frequency",
        "before",
    ): _AVERAGES,
    Fault("decay of all weights alike", STEPPING, "now.numbers[1] * «span.weight_decay»", "1.0"): {
        "weight_decay": 0.1,
        "weight_decay_factors": {"*/bias": 0.0},
    },
    Fault(
        "rate of all weights alike", STEPPING, "now.numbers[0] * «span.learning_rate»", "1.0"
    ): _FACTORS,
    Fault(
        "a factor of those behind, too",
        STEPPING,
        "numbers[0], numbers[1] = «now.numbers[0]», now",
        "numbers[0]",
    ): {"learning_rate_factors": {"dense/kernel": 0.3}},
    Fault(
        "rate of the next batch",
        STEPPING,
        "schedule_at(self.learning_rate.numbers, <double>«batch»)",
        "(batch + 1)",
    ): {},
}

RULE, RUNNING = "python_rules.pxi", "running.pxi"

#: Of steps by a rule in NumPy, with settings that must show them.
RULES = {
    Fault(
        "gradients of a rule not clipped",
        BATCH,
        "if «self.is_last_user[i] and self.is_trained[i] and own.begin < own.end»:\n"
        "                self.clip_norms",
        "False",
    ): {"clipnorm": 0.02},
    Fault(
        "a rule moves what is not trained",
        RULE,
        "if not («self.is_trained[i]» and self.is_last_user[i]) or length",
        "True",
    ): {},
    Fault("vectors of a rule forgotten", RULE, "for slot in range(«self.update.slots»)", "0"): {},
    Fault("steps told from 0", STEPPING, "now.number = «before + 1»", "before"): {},
    Fault(
        "a step counted that was none",
        RUNNING,
        "if self.is_called and «self.is_interrupted()»:\n                goes_on",
        "False",
    ): {},
    Fault(
        "state not brought back",
        RULE,
        "memcpy(self.states.at, «self.waiting.at», size)",
        "self.states.at",
    ): {},
    Fault(
        "gradients that wait not brought back",
        RULE,
        "memcpy(self.accumulated, «self.waiting.at + size», self",
        "self.accumulated",
    ): _SEVERAL,
}
