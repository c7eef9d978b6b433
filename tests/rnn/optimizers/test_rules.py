"""First-order rules: they are their papers' formulas, find minima, and do not depend on how they are run."""

import numpy as np
import pytest

from msgpass.errors import MessagePassingError
from rnn.optimizers import OPTIMIZERS, SGD, Adam, Optimizer, RMSprop, base

SCALE = np.array([1.0, 10.0, 0.1])
RULES = [
    Adam(),
    Adam(beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.1),
    RMSprop(),
    RMSprop(alpha=0.9, momentum=0.8, centered=True, weight_decay=0.1),
    SGD(),
    SGD(momentum=0.0),
    SGD(momentum=0.7, nesterov=True, weight_decay=0.1),
]


def gradient_of_bowl(theta):
    """Of ½ Σ s (θ − 1)²."""
    return SCALE * (theta - 1)


def walk(rule, gradient, theta, steps, rate):
    """States after every step."""
    states = [rule.start(theta)]
    for k in range(steps):
        new = {name: np.full_like(array, np.nan) for name, array in states[-1].items()}
        rule.step(states[-1], gradient(states[-1]["weights"]), rate, k + 1, new)
        states.append(new)
    return states


def by_formula(rule, gradient, theta, steps, rate):
    """The same in textbook form."""
    m, v, a, b = (np.zeros_like(theta) for _ in range(4))
    for k in range(1, steps + 1):
        g = gradient(theta)
        if isinstance(rule, Adam):
            m, v = rule.beta1 * m + (1 - rule.beta1) * g, rule.beta2 * v + (1 - rule.beta2) * g**2
            hat = (m / (1 - rule.beta1**k)) / (np.sqrt(v / (1 - rule.beta2**k)) + rule.eps)
            theta = theta - rate * hat - rate * rule.weight_decay * theta
            continue
        g = g + rule.weight_decay * theta
        if isinstance(rule, RMSprop):
            v, a = rule.alpha * v + (1 - rule.alpha) * g**2, rule.alpha * a + (1 - rule.alpha) * g
            b = rule.momentum * b + g / (np.sqrt(v - a**2 if rule.centered else v) + rule.eps)
        else:
            b = rule.momentum * b + g
        theta = theta - rate * (g + rule.momentum * b if isinstance(rule, SGD) and rule.nesterov else b)
    return theta


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_it_is_its_formula(rule):
    start = np.array([-1.2, 1.0, 4.0])
    found = walk(rule, gradient_of_bowl, start, 7, 0.02)[-1]["weights"]
    np.testing.assert_allclose(found, by_formula(rule, gradient_of_bowl, start, 7, 0.02), rtol=1e-12)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_an_update_changes_nothing_that_it_was_given(rule):
    before = rule.start(np.array([1.0, 2.0]))
    gradient, new = np.array([0.5, -3.0]), {k: np.empty(2) for k in before}
    kept, given = {k: v.copy() for k, v in before.items()}, gradient.copy()
    rule.step(before, gradient, 0.1, 1, new)
    assert all((before[k] == kept[k]).all() for k in kept) and (gradient == given).all()
    assert set(new) == {"weights", *rule.memory} and all(np.isfinite(v).all() for v in new.values())


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_have_the_bits_of_the_whole(rule, dtype, rng, monkeypatch):
    theta, gradient = rng.normal(size=100).astype(dtype), rng.normal(size=100).astype(dtype)
    whole = walk(rule, lambda _: gradient, theta, 3, 0.1)[-1]
    monkeypatch.setattr(base, "CHUNK", 7)
    for name, array in walk(rule, lambda _: gradient, theta, 3, 0.1)[-1].items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("name", [n for n in sorted(OPTIMIZERS) if n != "lbfgs"])
def test_named_ones_find_the_minimum(name):
    rule, theta = OPTIMIZERS[name](), np.zeros(3)
    assert isinstance(rule, Optimizer)
    state, spare = rule.start(theta), {k: np.empty(3) for k in rule.start(theta)}
    for k in range(4000):
        rate = 0.05 * 0.998**k
        rule.step(state, gradient_of_bowl(state["weights"]), rate, k + 1, spare)
        state, spare = spare, state
    np.testing.assert_allclose(state["weights"], 1, atol=0.05 if name == "adamw" else 1e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Adam(weight_decay=-1), "weight_decay"),
        (lambda: RMSprop(alpha=True), "alpha"),
        (lambda: RMSprop(centered=1), "centered"),
        (lambda: SGD(momentum=1.5), "momentum"),
        (lambda: SGD(momentum=0.0, nesterov=True), "needs momentum"),
    ],
)
def test_settings_that_do_not_fit(make, words):
    with pytest.raises(MessagePassingError, match=words):
        make()
