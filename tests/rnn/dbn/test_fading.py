"""Forgetting and vanishing: the curves are those of products written out, each below its bound."""

import numpy as np
import pytest

from hmm import CategoricalHMM
from msgpass import FactorGraph, Table, run
from msgpass.errors import DataError, UnavailableError, UnsupportedError
from msgpass.identities import message_influence
from rnn import LSTM, RNN, SquaredError, as_dbn, bptt
from rnn.dbn import forgetting, plot_fades, vanishing


def chain(T=12, K=3, seed=0):
    rng = np.random.default_rng(seed)
    A, b = np.log(rng.dirichlet(np.ones(K), K)), rng.normal(size=(T, K))
    g = FactorGraph()
    z = g.sequence("z", length=T, states=K)
    g.factor(Table(g.parameter("A", A)), z[:-1], z[1:])
    g.factor(Table(g.parameter("b", b)), z[:])
    return g, A, b


def test_forgetting_reads_a_runs_own_tables():
    g, A, b = chain()
    moved = {"A": A.T - np.logaddexp.reduce(A.T, axis=1, keepdims=True), "b": 2 * b}
    for values in ({}, moved):
        m = run(g, values=values)
        curve = forgetting(m, lags=5)
        given = {"A": A, "b": b} | values
        expected = message_influence(given["A"], given["b"], m.backward["z"], 5)
        for mine, theirs in zip(curve, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)
        assert (curve.worst <= curve.bound * (1 + 1e-12)).all()
        assert (curve.actual <= curve.worst * (1 + 1e-12)).all()


def test_a_model_of_hmm_and_a_discretised_network():
    model = CategoricalHMM(2, random_state=0)
    X = np.array([0, 1, 1, 0, 0, 1, 0, 1, 1, 1])
    model.startprob_, model.transmat_ = np.array([0.5, 0.5]), np.array([[0.7, 0.3], [0.3, 0.7]])
    model.emissionprob_ = np.array([[0.9, 0.1], [0.2, 0.8]])
    m = model.messages(X)
    curve = forgetting(m)
    b = np.log(model.emissionprob_[:, X].T)
    beta = np.zeros((10, 2))
    for t in range(8, -1, -1):
        beta[t] = np.log(np.exp(b[t + 1] + beta[t + 1]) @ model.transmat_.T)
    expected = message_influence(np.log(model.transmat_), b, beta)
    np.testing.assert_allclose(curve.actual, expected.actual)
    np.testing.assert_allclose(curve.bound, expected.bound)
    hmm = as_dbn(RNN(1, 1, random_state=0), X[:, None] * 1.0, SquaredError(np.zeros((10, 1)))).discretize(0.3)
    own = forgetting(hmm.messages)
    assert own.bound[-1] < own.bound[1] < 1


def test_vanishing_is_the_product_of_the_networks_jacobians():
    rng = np.random.default_rng(1)
    net, x = LSTM(1, 2, random_state=0), rng.normal(size=(7, 3, 1))
    m = bptt(net, x, SquaredError(rng.normal(size=(7, 3, 2))))
    curve = vanishing(m, lags=4)
    J = m.step_jacobians("h_l0", "c_l0")
    local = np.concatenate([m.gradient[n] - m.backward[n] for n in ("h_l0", "c_l0")], axis=2)
    norm = np.linalg.norm
    for k in range(5):
        actual, worst, bound = [], [], []
        for b in range(3):
            for s in range(k, 7):
                product, factor = np.eye(4), 1.0
                for t in range(s, s - k, -1):
                    product, factor = J[t, b].T @ product, factor * norm(J[t, b], 2)
                actual.append(norm(product @ local[s, b]) / norm(local[s, b]))
                worst.append(norm(product, 2))
                bound.append(factor)
        got = curve.actual[k], curve.worst[k], curve.bound[k]
        np.testing.assert_allclose(got, [np.mean(v) for v in (actual, worst, bound)], rtol=1e-9)
    np.testing.assert_array_equal(vanishing(m, "h_l0", "c_l0", lags=4).bound, curve.bound)


def test_both_in_one_figure():
    g, *_ = chain()
    m = bptt(RNN(1, 3, random_state=0), np.ones((9, 1)), SquaredError(np.zeros((9, 3))))
    figure = plot_fades(forgetting(run(g)), vanishing(m))
    assert [len(ax.lines) for ax in figure.axes] == [3, 3]
    axes = figure.axes
    assert plot_fades(forgetting(run(g)), vanishing(m), axes) is axes


def test_what_cannot_be_read_is_named():
    for read in (forgetting, vanishing):
        with pytest.raises(DataError, match="expected the messages of a run"):
            read(3)
    m = bptt(RNN(1, 3, num_layers=2, random_state=0), np.ones((4, 1)), SquaredError(np.zeros((4, 3))))
    with pytest.raises(UnavailableError, match="this graph has none"):
        forgetting(m)
    with pytest.raises(UnavailableError, match="h_l0; h_l1"):
        vanishing(m)
    assert vanishing(m, "h_l1").bound[1] < 1
    g, *_ = chain()
    with pytest.raises(UnavailableError, match="not 'q'"):
        forgetting(run(g), "q")
    two = FactorGraph()
    z = two.sequence("z", length=[3, 4], states=2)
    two.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    with pytest.raises(UnsupportedError, match="2 sequences"):
        forgetting(run(two))
