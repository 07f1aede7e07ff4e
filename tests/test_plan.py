"""The plan by itself: how far it runs, what it adds up, what it is made of."""

import numpy as np
import pytest
from helpers import data, network, twin

import fastweights as fw
from fastweights import _dispatch
from fastweights._core.plan import ModelLock, Plan, update_slots
from fastweights._plans import plan_for
from fastweights.config import budget
from fastweights.layers.ops import OpSpec

X, Y = data(20)

#: Of batches that there were: none.
COUNT = np.zeros(1, np.int64)


def plan_of(model, purpose="fit", rows=8):
    return plan_for(model, purpose, rows)


def test_train_runs_to_the_last_row_and_adds_up():
    model = network()
    oracle, plan = twin(model), plan_of(model)
    tally = plan.tally()
    first, last_loss = plan.train(X, Y, None, 4, 18, 8, 60.0, tally)
    assert first == 18
    total = 0.0
    for batch in (slice(4, 12), slice(12, 18)):
        loss = oracle.loss(X[batch], Y[batch])
        total += loss * (batch.stop - batch.start)
        oracle.sgd_step(oracle.gradients(X[batch], Y[batch])[0], 0.01)
    assert tally.rows_seen == 14
    assert tally.loss_sum == pytest.approx(total, rel=1e-14)
    assert last_loss == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(model.parameters, oracle.parameters, rtol=1e-13)


def test_train_comes_back_after_its_time_with_whole_batches():
    plan = plan_of(network())
    first, stops, tally = 0, [], plan.tally()
    while first < 20:
        first, _ = plan.train(X, Y, None, first, 20, 8, 0.0, tally)
        stops.append(first)
    assert stops == [8, 16, 20]
    assert tally.rows_seen == 20


def test_train_stops_before_a_batch_that_is_not_finite():
    y = Y.copy()
    y[10] = np.inf
    model, other = network(), network()
    plan = plan_of(model)
    tally = plan.tally()
    assert plan.train(X, y, None, 0, 20, 8, 60.0, tally) == (8, np.inf)
    assert (tally.rows_seen, np.isfinite(tally.loss_sum)) == (8, True)
    other.train_on_batch(X[:8], Y[:8])
    np.testing.assert_array_equal(model.parameters, other.parameters)


def test_rows_come_in_the_order_given():
    order = np.array([7, 7, 3, 19, 0, 11], np.int64)
    model, other = network(), network()
    plan_of(model).train(X, Y, order, 0, 6, 4, 60.0)
    plan_of(other).train(X[order], Y[order], None, 0, 6, 4, 60.0)
    np.testing.assert_array_equal(model.parameters, other.parameters)


def test_a_tally_is_one_calls_own():
    def sums(tally):
        return tally.loss_sum, tally.rows_seen, tally.metric_states()

    plan = plan_of(network(metrics=("mae",)), "infer")
    one, other = plan.tally(), plan.tally()
    assert (one.loss_sum, one.rows_seen, set(one.metric_states()[0])) == (0.0, 0, {0.0})
    plan.infer(X, Y, None, 0, 20, 60.0, one)
    first = sums(one)
    plan.infer(X, Y, None, 0, 20, 60.0, other)
    assert sums(one) == sums(other) == first
    plan.infer(X, Y, None, 0, 20, 60.0, one)
    assert one.rows_seen == 40


def test_a_tally_of_other_metrics_is_refused():
    tally = plan_of(network(), "infer").tally()
    with pytest.raises(ValueError, match="tally: got that of other metrics"):
        plan_of(network(metrics=("mae",)), "infer").infer(X, Y, None, 0, 20, 60.0, tally)


def test_a_model_keeps_a_plan_and_replaces_one_that_is_too_small():
    model = network()
    small = plan_for(model, "fit", 8)
    assert plan_for(model, "fit", 3) is small
    large = plan_for(model, "fit", 9)
    assert (small.rows, large.rows) == (8, 9)
    assert plan_for(model, "fit", 8) is large
    assert plan_for(model, "infer", 8) is not large


def test_the_arena_does_not_grow_while_it_runs_and_is_smaller_for_inference():
    model = network((5, 40, 3))
    purposes = ("infer", "fit", "check")
    with fw.threads(1):
        sizes = {purpose: plan_for(model, purpose, 16).arena_bytes for purpose in purposes}
        assert 0 < sizes["infer"] < sizes["fit"] < sizes["check"]
        model.fit(X, Y, 16, verbose=0)
        assert plan_for(model, "fit", 16).arena_bytes == sizes["fit"]


def test_the_model_outlives_its_plans_and_plans_their_model():
    model = network()
    plan, expected = plan_for(model, "infer", 4), model.predict(X[:4])
    del model
    out = np.empty((4, 3))
    plan.infer(X[:4], None, out, 0, 4, 60.0)
    np.testing.assert_array_equal(out, expected)


def test_rows_that_no_memory_holds():
    with pytest.raises(MemoryError, match=r"no [\d,]+ bytes for batches of 281474976710656 rows"):
        plan_for(network(), "keep", 2**48)


def plan_of_specs(specs, size, inputs=(3,), trains=False):
    table = _dispatch.kernels(np.dtype("float32")).table
    zeros = np.zeros(size, np.float32)
    gradients = zeros.copy() if trains else None
    return Plan(table, specs, inputs, zeros, gradients, ModelLock(), 1, budget())


NORMALIZE = OpSpec("layer_normalize", (0,), 3, variables=(3, 3), sizes=(1, 1))
DENSE = OpSpec("dense", (0,), 2, variables=(6, 2))


@pytest.mark.parametrize(
    ("specs", "size", "message"),
    [
        ([DENSE._replace(variables=(5,))], 5, "expected sizes that suit its kind"),
        ([DENSE._replace(variables=(6, 3))], 9, "expected sizes that suit its kind"),
        ([DENSE], 6, "parameters: got 24 bytes, expected 32"),
        ([DENSE._replace(offset=3)], 8, "parameters: got 32 bytes, expected 44"),
        ([DENSE, OpSpec("softmax", (1,), 3)], 8, "expected sizes that suit its kind"),
        ([DENSE, OpSpec("softmax", (2,), 2)], 8, "expected to read some of 2 values"),
        ([DENSE, OpSpec("softmax", (-1,), 2)], 8, "expected to read some of 2 values"),
        ([OpSpec("softmax", (), 2)], 0, "expected to read some of 1 values"),
        ([OpSpec("softmax", (0,), 2, lines=2)], 0, "expected lines that 3 inputs make up"),
        ([OpSpec("dense", (0,), 0)], 0, "expected sizes of at least 1"),
        ([OpSpec("softmax", (0,), 4)], 0, "expected sizes that suit its kind"),
        ([OpSpec("activation", (0,), 2)], 0, "expected sizes that suit its kind"),
        ([OpSpec("swap", (0,), 3, sizes=(3, 1))], 0, "expected sizes that suit its kind"),
        ([OpSpec("swap", (0,), 3, sizes=(-3, -1, 1))], 0, "expected sizes that suit its kind"),
        ([OpSpec("repeat", (0,), 5, sizes=(2,))], 0, "expected sizes that suit its kind"),
        ([OpSpec("dot", (0,), 1, sizes=(1, 1, 3))], 0, "expected sizes that suit its kind"),
        ([OpSpec("dot", (0, 0), 1, sizes=(-1, -1, -3))], 0, "expected sizes that suit its kind"),
        ([OpSpec("dot", (0, 0), 1, sizes=(1, 1, 2))], 0, "expected sizes that suit its kind"),
        ([OpSpec("concatenate", (0, 0), 5)], 0, "expected sizes that suit its kind"),
        ([OpSpec("subtract", (0, 0, 0), 3)], 0, "expected sizes that suit its kind"),
        ([NORMALIZE._replace(variables=(3, 2))], 5, "expected sizes that suit its kind"),
        ([NORMALIZE._replace(variables=(3,))], 3, "expected sizes that suit its kind"),
        ([NORMALIZE._replace(kind="unit_normalize")], 6, "expected sizes that suit its kind"),
        ([NORMALIZE._replace(outputs=2)], 6, "expected sizes that suit its kind"),
        ([OpSpec("prelu", (0,), 3)], 0, "expected sizes that suit its kind"),
        ([OpSpec("activation", (0,), 3, sizes=(1,) * 25)], 0, "at most 24 sizes of a kind"),
        ([], 0, "got 0 ops and 1 inputs"),
    ],
)
def test_ops_that_do_not_add_up_are_refused(specs, size, message):
    with pytest.raises(ValueError, match=message):
        plan_of_specs(specs, size)


@pytest.mark.parametrize("offset", [3, 1])
def test_ops_that_share_a_part_of_their_parameters_are_refused(offset):
    part = OpSpec("scale", (1,), 3, offset=offset, variables=(3,), sizes=(1, 0))
    with pytest.raises(ValueError, match="parameters of its own or all of another's"):
        plan_of_specs([NORMALIZE, part], 6, trains=True)


def test_an_op_has_no_parameters_of_another_that_its_kind_has_not():
    specs = [DENSE, DENSE._replace(kind="activation")]
    with pytest.raises(ValueError, match=r"kind='activation'.*sizes that suit its kind"):
        plan_of_specs(specs, 8, trains=True)


def test_buffers_that_are_too_short_are_refused():
    plan, check, infer = (plan_of(network(), purpose) for purpose in ("fit", "check", "infer"))
    out = np.empty((20, 3))
    for call in (
        lambda: plan.train(X[:5], Y, None, 0, 20, 8, 1.0),
        lambda: plan.train(X, Y[:5], None, 0, 20, 8, 1.0),
        lambda: plan.train(X, Y, np.arange(5), 0, 20, 8, 1.0),
        lambda: plan.train(X, Y, None, 0, 20, 9, 1.0),
        lambda: plan.gradients_of(X, Y, np.empty_like(X), 8),
        lambda: plan.gradients_of(X, Y, None, 9),
        lambda: check.gradients_of(X, Y, X[:2].copy(), 8),
        lambda: infer.infer(X, None, out[:2], 0, 20, 1.0),
        lambda: infer.infer(X[:2], None, out, 0, 20, 1.0),
        lambda: plan_of(network(), "keep").backward(Y, X.copy(), 20),
        lambda: plan_of(network(), "keep").forward(X, out, 20),
    ):
        with pytest.raises(ValueError, match="got"):
            call()


def test_more_numbers_than_there_is_room_for_are_refused():
    class Much(fw.activations.ELU):
        options = (1.0, 2.0, 3.0)

    with pytest.raises(ValueError, match="elu: got 3 options, expected at most 2"):
        plan_of_specs([OpSpec("activation", (0,), 3, activation=Much())], 0)
    plan = plan_of(network())
    with pytest.raises(ValueError, match="quantile: got 66 options, expected at most 65"):
        plan.set_losses([("quantile", (65.0, *65 * [0.5]), 24, 1.0)])
    with pytest.raises(ValueError, match="adam: got 9 numbers, expected 7"):
        plan.set_update("adam", np.zeros(2 * 66), np.zeros(9), COUNT)
    with pytest.raises(ValueError, match="adam: got 1 numbers, expected 7"):
        plan.set_update("adam", np.zeros(2 * 66), np.zeros(1), COUNT)
    with pytest.raises(ValueError, match="state: got 8 bytes, expected"):
        plan.set_update("adam", np.zeros(1), np.zeros(7), COUNT)
    with pytest.raises(ValueError, match="batches: got 0 bytes, expected 8"):
        plan.set_update("adam", np.zeros(2 * 66), np.zeros(7), COUNT[:0])
    with pytest.raises(ValueError, match="state: got 1056 bytes, expected 2112"):
        plan.set_update("adam", np.zeros(2 * 66), np.zeros(7), COUNT, None, 2, (0.9, 0))
    for spans in ([(60, 67, 1.0, 1.0)], [(3, 3, 1.0, 1.0)], [(0, 4, 1.0, 1.0), (2, 6, 1.0, 1.0)]):
        with pytest.raises(ValueError, match="spans: got"):
            plan.set_update("adam", np.zeros(2 * 66), np.zeros(7), COUNT, spans=spans)
    for rates in (((), (0.0, 0.0)), ((0.0, 0.1), (2.0, 5.0, 1.0)), ((9.0, 3.0, 0.1), (0.0, 0.0))):
        with pytest.raises(ValueError, match="schedule: got"):
            plan.set_rates(rates)


def test_names_that_no_table_has():
    table = _dispatch.kernels(np.dtype("float32")).table
    with pytest.raises(KeyError, match="conv9d"):
        Plan(
            table,
            [OpSpec("conv9d", (0,), 1)],
            [1],
            np.zeros(0, np.float32),
            None,
            ModelLock(),
            1,
            budget(),
        )
    with pytest.raises(KeyError, match="sgdd"):
        update_slots(table, "sgdd")
    assert [update_slots(table, name) for name in ("sgd", "momentum", "adam")] == [0, 1, 2]
