"""Each identity over random models, and each broken on purpose: a test of the tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import SumProduct, Truncated, identities, run
from msgpass.errors import DataError, NumericalError, ShapeError
from msgpass.identities import credit, discrete, influence, linear, loops, networks, schedules
from msgpass.identities.chains import Chain, random_chain, table_graph
from msgpass.identities.record import Identity

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=20)


@st.composite
def chains(draw, longest=9, holes=True):
    """Random chains, some with forbidden transitions and states that a step excludes."""
    rng = np.random.default_rng(draw(SEEDS))
    chain = random_chain(rng, states=draw(st.integers(1, 4)), length=draw(st.integers(1, longest)))
    if not (holes and draw(st.booleans())):
        return chain
    # State 0 is always allowed, so that some path is possible.
    transition, evidence = chain.log_transition.copy(), chain.log_evidence.copy()
    transition[:, 1:][rng.random(transition[:, 1:].shape) < 0.3] = -np.inf
    evidence[:, 1:][rng.random(evidence[:, 1:].shape) < 0.1] = -np.inf
    return Chain(chain.log_init, transition - np.logaddexp.reduce(transition, axis=1)[:, None], evidence)


@FEW
@given(chains())
def test_1_backward_messages_are_adjoints(chain):
    assert identities.backward_is_adjoint(*chain).relative < 1e-12


@FEW
@given(chains())
def test_2_expected_counts_are_gradients(chain):
    assert identities.expected_counts_are_gradients(*chain).gap < 1e-10


@FEW
@given(chains(longest=5))
def test_3_fisher_over_all_paths(chain):
    found = identities.fisher(*chain)
    assert "all paths" in found.right_is
    assert found.gap < 1e-10


@FEW
@given(chains(longest=30, holes=False).filter(lambda c: len(c.log_init) ** len(c.log_evidence) > 5000))
def test_3_fisher_over_the_posterior(chain):
    found = identities.fisher(*chain)
    assert "posterior" in found.right_is
    assert found.gap < 1e-10


@FEW
@given(SEEDS, st.sampled_from(["squared", "poisson", "softmax"]), st.integers(1, 10))
def test_4_adjoints_are_slopes_of_the_exact_message(seed, loss, length):
    rng = np.random.default_rng(seed)
    net = networks.random_network(rng, hidden=3, outputs=2 if loss != "poisson" else 1, length=length)
    y = {
        "squared": net.y,
        "poisson": rng.poisson(3.0, size=(length, 1)).astype(float),
        "softmax": rng.integers(0, 2, size=(length, 1)).astype(float),
    }[loss]
    y[rng.random(length) < 0.2] = np.nan
    assert identities.adjoint_is_slope(net._replace(y=y, loss=loss)).relative < 1e-11


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 2), st.integers(2, 12))
def test_5_costates_are_messages(seed, size, inputs, length):
    control = linear.random_control(seed, size, inputs, length)
    assert identities.costate_is_message(control).relative < 1e-9


@FEW
@given(SEEDS, st.integers(1, 3), st.integers(2, 6))
def test_6_smoothing_is_optimising(seed, size, length):
    chain = linear.random_linear_chain(seed, size, length)
    assert identities.smoothing_is_optimising(chain).relative < 1e-9


@FEW
@given(chains())
def test_7_fixed_lag_smoothing_is_truncated_bptt(chain):
    assert identities.fixed_lag_is_truncation(*chain, lags=(0, 1, 2, 20)).gap < 1e-10


def test_7_chunked_truncation_is_another_schedule():
    chain = random_chain(0)
    smoothed = run(table_graph(chain), SumProduct(), Truncated(1, 3)).belief["z"]
    chunked = run(table_graph(chain), SumProduct(), Truncated(3, 3)).belief["z"]
    assert np.abs(np.exp(smoothed) - np.exp(chunked)).max() > 1e-3


@settings(max_examples=10)
@given(chains(), SEEDS, st.integers(1, 5))
def test_8_schedules_and_unrolling_change_nothing(chain, seed, slots):
    net = networks.random_network(seed, hidden=3, length=5)
    assert identities.schedules_agree(*chain, network=net, slots=slots).relative < 1e-10


@FEW
@given(chains())
def test_9_max_product_is_the_cold_limit(chain):
    found = identities.max_is_cold_sum(*chain)
    assert found.holds
    # From above, and never rising as the temperature falls.
    free = found.details["free energy"]
    assert (np.diff(free) < 1e-9).all()
    assert free[-1] > found.details["best score"] - 1e-9


@FEW
@given(SEEDS, st.integers(1, 5), st.sampled_from([0.3, 0.8, 0.95]))
def test_10_converged_cotangents_are_the_implicit_gradient(seed, size, norm):
    found = identities.fixed_point_is_implicit(loops.random_loop(seed, size, norm))
    assert found.relative < 1e-11
    assert found.details["Step.fixed_point"] < 1e-11


@FEW
@given(SEEDS)
def test_10_a_window_lacks_the_rest_of_the_series(seed):
    """K terms lack (Jᵀ)^K λ, exactly."""
    loop = loops.random_loop(seed, 3)
    x, _ = loops.rest(loop)
    slope = 1 - x**2
    J = slope[:, None] * loop.W
    adjoint = np.linalg.solve(np.eye(3) - J.T, x - loop.y)
    terms = (1, 3, 10, 30)
    found = identities.fixed_point_is_implicit(loop, terms=terms)
    for k in terms:
        lacking = slope * (np.linalg.matrix_power(J.T, k) @ adjoint)
        gap = np.abs(np.concatenate([np.outer(lacking, x).ravel(), lacking])).max()
        assert found.details[f"{k} terms"] * found.size == pytest.approx(gap, rel=1e-6, abs=1e-12)


def test_10_the_curve_falls_as_the_spectral_radius():
    W = np.array([[0.5, 0.4], [0.4, 0.5]])  # at rest at 0, where it is the Jacobian: eigenvalues 0.9, 0.1
    found = identities.fixed_point_is_implicit(
        loops.Loop(W, np.zeros(2), np.array([1.0, 0.0])), terms=(40, 60)
    )
    assert found.details["spectral radius"] == pytest.approx(0.9)
    assert found.details["60 terms"] / found.details["40 terms"] == pytest.approx(0.9**20, rel=1e-6)


def test_10_a_loop_that_grows_is_refused():
    with pytest.raises(NumericalError, match="not reached"):
        identities.fixed_point_is_implicit(loops.Loop(np.array([[0, 2.0], [-2, 0]]), np.ones(2), np.ones(2)))
    with pytest.raises(ShapeError, match="takes a Loop"):
        identities.fixed_point_is_implicit(np.zeros(2))


@FEW
@given(SEEDS, st.integers(1, 15), st.integers(1, 3), st.booleans())
def test_11_traces_are_lambda_returns(seed, length, features, ended):
    episode = credit.random_episode(seed, length, features)
    rng = np.random.default_rng(seed)
    episode.lambdas[rng.random(length) < 0.2] = rng.integers(0, 2)
    episode.discounts[rng.random(length) < 0.2] = rng.integers(0, 2)
    if ended:
        episode.x[-1] = 0.0
    found = identities.td_views_agree(episode)
    assert found.relative < 1e-11
    # By hand: λ-returns from the last step on.
    v, wanted = episode.x @ episode.w, np.zeros(features)
    G = v[-1]
    for t in reversed(range(length)):
        lam = episode.lambdas[t]
        G = episode.rewards[t] + episode.discounts[t] * ((1 - lam) * v[t + 1] + lam * G)
        wanted += (G - v[t]) * episode.x[t]
    np.testing.assert_allclose(found.left[:features], wanted, rtol=1e-9, atol=1e-9)
    assert all(0 <= share <= 1 + 1e-12 for share in found.details.values())


def test_11_refuses_what_is_no_episode():
    episode = credit.random_episode(0, length=3)
    with pytest.raises(ShapeError, match="takes an Episode"):
        identities.td_views_agree(np.zeros(2))
    with pytest.raises(ShapeError, match=r"lambdas of the episode has shape \(4,\), wanted \(3,\)"):
        identities.td_views_agree(episode._replace(lambdas=np.ones(4)))
    with pytest.raises(DataError, match=r"lambdas of the episode is 1.5 at t=1"):
        identities.td_views_agree(episode._replace(lambdas=[0.5, 1.5, 0.5]))
    with pytest.raises(DataError, match="rewards of the episode is nan at t=2"):
        identities.td_views_agree(episode._replace(rewards=[0.5, 1.5, np.nan]))


def bend(make):
    """The same graph with a parameter a thousandth off."""

    def bent(*args, **kwargs):
        graph = make(*args, **kwargs)
        name = next(n for n in ("transition", "W", "h") if n in graph.nodes)
        graph[name].value[:] += 1e-3 * np.arange(graph[name].value.size).reshape(graph[name].value.shape)
        return graph

    return bent


def bend_control(make):
    return lambda control: make(control._replace(A=control.A + 1e-3))


def bend_episode(make):
    """Features or rewards a thousandth off."""
    return lambda first, *rest: make(
        first._replace(rewards=first.rewards + 1e-3) if hasattr(first, "rewards") else first + 1e-3, *rest
    )


@pytest.mark.parametrize(
    ("function", "module", "name", "bent"),
    [
        (identities.backward_is_adjoint, discrete, "unnormalised_recursion", bend),
        (identities.expected_counts_are_gradients, discrete, "table_graph", bend),
        (identities.fisher, discrete, "normalised_filter", bend),
        (identities.adjoint_is_slope, networks, "network_graph", bend),
        (identities.costate_is_message, linear, "_control_graph", bend_control),
        (identities.smoothing_is_optimising, linear, "_linear_graph", bend),
        (identities.fixed_lag_is_truncation, schedules, "table_graph", bend),
        (
            identities.schedules_agree,
            schedules,
            "Checkpointed",
            lambda make: lambda slots: Truncated(1, slots),
        ),
        (identities.schedules_agree, schedules, "ParallelScan", lambda make: lambda: Truncated(1, 2)),
        (identities.max_is_cold_sum, discrete, "maximising_recursion", None),
        (identities.fixed_point_is_implicit, loops, "written_out", bend),
        (identities.fixed_point_is_implicit, loops, "Sequential", lambda make: lambda: Truncated(1, 4)),
        (identities.td_views_agree, credit, "trace_graph", bend_episode),
        (identities.td_views_agree, credit, "return_graph", bend_episode),
        (identities.td_views_agree, credit, "value_trace_graph", bend_episode),
        (identities.td_views_agree, credit, "Truncated", lambda make: lambda k1, k2: make(k1, k2 + 1)),
    ],
)
def test_each_fails_when_one_side_is_bent(function, module, name, bent, monkeypatch):
    assert function(seed=5).holds
    if bent is None:  # a gradient of a best score moves only when the path does
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda chain: original(chain._replace(log_init=chain.log_init[::-1] * 9))
        )
    else:
        monkeypatch.setattr(module, name, bent(getattr(module, name)))
    assert not function(seed=5).holds


def test_all_hold_and_print_as_a_table():
    found = identities.all(seed=1)
    assert [one.number for one in found] == list(range(1, 12))
    assert found.holds
    assert len(repr(found).splitlines()) == 12
    assert found._repr_html_().count("<tr>") == 12
    assert list(found.to_frame().number) == list(range(1, 12))


def test_the_same_seed_gives_the_same_numbers():
    for one, other in zip(identities.all(seed=4), identities.all(seed=4), strict=True):
        np.testing.assert_array_equal(one.left, other.left)
        np.testing.assert_array_equal(one.right, other.right)


def test_a_record_with_a_gap_does_not_hold():
    same = {"number": 0, "name": "", "statement": "s", "left_is": "l", "right_is": "r", "source": ""}
    broken = Identity(**same, left=np.array([1.0, 2.0]), right=np.array([1.0, 2.1]))
    assert broken.gap == pytest.approx(0.1)
    assert not broken.holds and "DOES NOT HOLD" in repr(broken)
    assert not Identity(**same, left=np.array([np.nan]), right=np.array([np.nan])).holds
    assert Identity(**same, left=np.ones(2), right=np.ones(2)).holds


def test_half_a_chain_is_refused():
    with pytest.raises(ShapeError, match="together"):
        identities.backward_is_adjoint(np.zeros(2))
    with pytest.raises(ShapeError, match=r"got \(2,\), \(3, 3\), \(4, 2\)"):
        identities.fisher(np.zeros(2), np.zeros((3, 3)), np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="takes a Network"):
        identities.adjoint_is_slope(np.zeros(2))


@FEW
@given(chains(longest=12))
def test_13_messages_fade_within_the_dobrushin_bound(chain):
    m = run(table_graph(chain), SumProduct())
    curve = identities.message_influence(chain.log_transition, chain.log_evidence, m.backward["z"])
    assert (curve.actual <= curve.worst + 1e-12).all()
    assert (curve.worst <= curve.bound + 1e-12).all()
    assert (curve.bound <= 1 + 1e-12).all()
    if len(chain.log_init) == 2:  # 2 × 2 stochastic matrices have one eigenvalue besides 1, and it multiplies
        np.testing.assert_allclose(curve.worst, curve.bound, atol=1e-12)


@FEW
@given(SEEDS, st.integers(2, 12))
def test_13_adjoints_fade_within_the_jacobian_bound(seed, length):
    net = networks.random_network(seed, length=length)
    m = run(networks.network_graph(net))
    h = m.forward["h"]
    jacobians = (1 - h[1:] ** 2)[:, :, None] * net.W
    local = m.gradient["h"] - m.backward["h"]
    curve = identities.adjoint_influence(jacobians, local)
    assert (curve.actual <= curve.worst * (1 + 1e-9)).all()
    assert (curve.worst <= curve.bound * (1 + 1e-9)).all()
    np.testing.assert_allclose(m.backward["h"][-2], jacobians[-1].T @ local[-1])


def test_13_messages_are_carried_as_posteriors_are():
    """E[g(z_{t+1}) | z_t, y] from the curve's kernels is what enumeration of the pair belief gives."""
    chain = random_chain(3, states=3, length=2)
    m = run(table_graph(chain), SumProduct())
    pair = np.exp(m.belief["links"][0])
    kernel = pair / pair.sum(axis=1, keepdims=True)
    curve = identities.message_influence(chain.log_transition, chain.log_evidence, m.backward["z"], lags=1)
    assert curve.worst[1] == pytest.approx(influence.dobrushin(kernel))
    sent = chain.log_evidence[1]
    assert curve.actual[1] == pytest.approx(np.ptp(kernel @ sent) / np.ptp(sent))
