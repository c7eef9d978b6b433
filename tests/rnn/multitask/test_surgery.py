"""Surgery against conditions of optimality, closed forms and definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.multitask import MGDA, CAGrad, PCGrad, WeightedSum
from rnn.multitask.surgery import hull

METHODS = {
    "pcgrad": PCGrad(),
    "mgda": MGDA(),
    "normalised": MGDA(True),
    "cagrad": CAGrad(0.5),
    "sum": WeightedSum(),
}


@st.composite
def gradients(draw, most=5, least=2, scales=True):
    """Of unlike lengths, some zero, parallel or opposite."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    K, n = draw(st.integers(least, most)), draw(st.integers(1, 12))
    G = rng.normal(size=(K, n)) * (np.exp(rng.normal(size=(K, 1)) * 2) if scales else 1)
    special = draw(st.sampled_from(["none", "none", "parallel", "opposite", "zero"]))
    if special != "none":
        G[1] = G[0] * {"parallel": 2.0, "opposite": -0.5, "zero": 0.0}[special]
    return G


def simplex(weights):
    return (weights >= 0).all() and np.isclose(weights.sum(), 1)


@given(gradients())
def test_every_direction_is_its_weights_times_the_gradients(G):
    for method in METHODS.values():
        found = method(G)
        size = np.abs(found.weights).max() * np.abs(G).max()
        np.testing.assert_allclose(found.direction, found.weights @ G, rtol=1e-9, atol=1e-12 * size)


@given(gradients(), st.integers(0, 5))
def test_pcgrad_as_it_is_defined(G, count):
    rng = np.random.default_rng([7, count])
    total = np.zeros(G.shape[1])
    for i in range(len(G)):
        g = G[i].copy()
        for j in rng.permutation([j for j in range(len(G)) if j != i]):
            if g @ G[j] < 0:
                g -= g @ G[j] / (G[j] @ G[j]) * G[j]
        total += g
    np.testing.assert_allclose(PCGrad(7)(G, count).direction, total, rtol=1e-8, atol=1e-9 * np.abs(G).max())


@given(gradients(most=2))
def test_pcgrad_of_two_hurts_neither(G):
    d = PCGrad()(G).direction
    assert (G @ d >= -1e-9 * (G**2).sum()).all()
    if G[0] @ G[1] >= 0:
        np.testing.assert_allclose(d, G.sum(axis=0), rtol=1e-12, atol=1e-12 * np.abs(G).max())
    else:
        by_hand = sum(a - a @ b / (b @ b) * b for a, b in ((G[0], G[1]), (G[1], G[0])))
        np.testing.assert_allclose(d, by_hand, rtol=1e-9, atol=1e-12 * np.abs(G).max())


def test_pcgrad_is_seeded_by_update(rng):
    G = rng.normal(size=(4, 3))
    G -= G.mean(axis=0)  # conflicts all over
    found = [PCGrad(0)(G, count).direction for count in range(12)]
    again = [PCGrad(0)(G, count).direction for count in range(12)]
    np.testing.assert_array_equal(found, again)
    assert len({tuple(d.round(9)) for d in found}) > 1
    assert (PCGrad(1)(G, 0).direction != found[0]).any()


@given(gradients())
def test_mgda_is_the_shortest_vector_of_the_hull(G):
    """Karush-Kuhn-Tucker: g_k·d ≥ ‖d‖², with equality where α_k > 0."""
    d, alpha = MGDA()(G)
    assert simplex(alpha)
    scale = (G**2).sum(axis=1).max()
    slack = G @ d - d @ d
    assert slack.min() >= -1e-9 * scale
    assert np.abs(alpha * slack).max() <= 1e-9 * scale


@given(gradients(most=2))
def test_mgda_of_two_in_closed_form(G):
    a, b = G
    apart = (a - b) @ (a - b)
    share = np.clip((b - a) @ b / apart, 0, 1) if apart else 0.5
    wanted = share * a + (1 - share) * b
    np.testing.assert_allclose(MGDA()(G).direction, wanted, rtol=1e-6, atol=1e-8 * np.abs(G).max())


@given(gradients())
def test_mgda_of_unit_vectors(G):
    lengths = np.linalg.norm(G, axis=1)
    found = MGDA(normalise=True)(G)
    if not lengths.all():
        np.testing.assert_array_equal(found.direction, 0)
        return
    wanted = MGDA()(G / lengths[:, None]).direction * lengths.mean()
    np.testing.assert_allclose(found.direction, wanted, rtol=1e-6, atol=1e-8 * lengths.max())
    np.testing.assert_allclose(
        MGDA(True)(3 * G).direction, 3 * found.direction, rtol=1e-9, atol=1e-9 * lengths.max()
    )


@given(gradients(), st.sampled_from([0.05, 0.4, 0.9, 1.5, 10.0]))
def test_cagrad_does_most_for_the_worst_off(G, c):
    """No direction of the ball that SLSQP finds does more, and no dual value is less."""
    G = G / np.linalg.norm(G, axis=1).max()
    g0, d = G.mean(axis=0), CAGrad(c)(G).direction
    radius, worst = c * np.linalg.norm(g0), (G @ d).min()
    assert np.linalg.norm(d - g0) <= radius * (1 + 1e-6) + 1e-9
    rng = np.random.default_rng(0)
    for w in (*rng.dirichlet(np.ones(len(G)), size=50), *np.eye(len(G))):
        assert worst <= w @ G @ g0 + radius * np.linalg.norm(w @ G) + 1e-6 * max(1, radius)
    rules = [
        {"type": "ineq", "fun": lambda z: G @ z[1:] - z[0], "jac": lambda z: np.c_[-np.ones(len(G)), G]},
        {
            "type": "ineq",
            "fun": lambda z: radius**2 - (z[1:] - g0) @ (z[1:] - g0),
            "jac": lambda z: np.append(0.0, -2 * (z[1:] - g0)),
        },
    ]
    start = np.append((G @ g0).min(), g0)
    slope = np.append(-1.0, np.zeros(len(g0)))
    z = minimize(lambda z: -z[0], start, jac=lambda z: slope, method="SLSQP", constraints=rules).x
    other = g0 + (z[1:] - g0) * min(1, radius / max(np.linalg.norm(z[1:] - g0), 1e-300))
    assert worst >= (G @ other).min() - 1e-6 * max(1, radius)


@given(gradients())
def test_cagrad_of_radius_nought_is_the_mean(G):
    np.testing.assert_allclose(
        CAGrad(0.0)(G).direction, G.mean(axis=0), rtol=1e-12, atol=1e-15 * np.abs(G).max()
    )


def test_cagrad_of_a_large_radius_goes_as_mgda(rng):
    G = rng.normal(size=(3, 6)) + 0.8
    short = MGDA()(G).direction
    assert np.linalg.norm(short) > 0.1
    d = CAGrad(1e5)(G).direction
    assert d @ short / np.linalg.norm(d) / np.linalg.norm(short) > 1 - 1e-9


def test_cagrad_of_two_in_closed_form():
    """Unit vectors at an angle: by symmetry d is along their bisector, c times longer."""
    for angle in (0.3, 1.5, 2.5):
        G = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
        np.testing.assert_allclose(CAGrad(0.7)(G).direction, 1.7 * G.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_degenerate_cases(name):
    method, g = METHODS[name], np.array([3.0, -4.0])
    np.testing.assert_array_equal(method(g[None]).direction, g)  # one task
    np.testing.assert_array_equal(method(np.zeros((3, 2))).direction, 0)  # all at rest
    mean = {"pcgrad": 2, "sum": 2, "cagrad": 1 + 0.5}.get(name, 1)
    np.testing.assert_allclose(method(np.stack([g, g])).direction, mean * g, rtol=1e-9)  # the same twice
    against = method(np.stack([g, -g])).direction
    np.testing.assert_allclose(against, 0, atol=1e-12)
    at_rest = method(np.stack([g, 0 * g])).direction
    if name in ("mgda", "normalised"):
        np.testing.assert_allclose(at_rest, 0, atol=1e-12)
    else:
        assert at_rest @ g > 0
    tiny = method(1e-200 * np.array([[1.0, 0.0], [-1.0, 1.0]])).direction
    np.testing.assert_allclose(tiny / 1e-200, method([[1.0, 0.0], [-1.0, 1.0]]).direction, rtol=1e-9)
    single = method(np.array([[1.0, 0.0], [-1.0, 1.0]], np.float32)).direction
    assert single.dtype == np.float32


@given(gradients(scales=False), st.floats(1e-3, 1e3))
def test_scale_and_rotation_of_all_change_nothing(G, scale):
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(G.shape[1], G.shape[1])))[0]
    for method in (PCGrad(), MGDA(), WeightedSum()):
        wanted = scale * method(G).direction @ Q
        np.testing.assert_allclose(method(scale * G @ Q).direction, wanted, rtol=1e-6, atol=1e-7 * scale)


def test_the_nearest_point_of_a_hull(rng):
    G, p = rng.normal(size=(4, 3)), 3 * rng.normal(size=3)
    alpha = hull.nearest(G, p)
    assert simplex(alpha)
    found = np.linalg.norm(alpha @ G - p)
    others = np.linalg.norm(rng.dirichlet(np.ones(4), size=5000) @ G - p, axis=1)
    assert found <= others.min() + 1e-12
    assert hull.optimality_gap(G - p, alpha) < 1e-12 < hull.optimality_gap(G - p, np.full(4, 0.25))
    np.testing.assert_array_equal(hull.nearest(np.ones((2, 3)), np.ones(3)), [0.5, 0.5])


def test_an_answer_that_is_not_optimal_is_refused(monkeypatch):
    import scipy.optimize

    monkeypatch.setattr(scipy.optimize, "nnls", lambda A, b: (np.ones(A.shape[1]), 0.0))
    with pytest.raises(NumericalError, match="misses by"):
        MGDA()([[1.0, 0.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: PCGrad(-1), ShapeError, "seed"),
        (lambda: MGDA("yes"), DataError, "normalise"),
        (lambda: CAGrad(-0.1), DataError, "c must be"),
        (lambda: WeightedSum([1.0, -1.0]), DataError, "task_weights"),
        (lambda: WeightedSum([1.0])(np.eye(2)), ShapeError, "1 task_weights for 2 tasks"),
        (lambda: MGDA()(np.ones(3)), ShapeError, "wanted"),
        (lambda: MGDA()([[1.0, 0.0], [np.nan, 0.0]]), NumericalError, "task 1"),
    ],
)
def test_what_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
