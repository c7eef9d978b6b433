"""On a grid with noise: a linear network in closed form, others in the limit, and pgmpy."""

import warnings

import numpy as np
import pytest

from msgpass import run
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, PoissonNLL, Recurrence, SquaredError, as_dbn, bptt
from rnn.dbn import correspondence, refine


def linear(T=6, a=0.8):
    rng = np.random.default_rng(2)
    net = Recurrence(lambda h, x, a: a * h + x, {"a": np.array([a])}, 1, 1, vectorized=True)
    x, y = rng.normal(size=(T, 1)), rng.normal(size=(T, 1))
    return net, x, y


def test_a_linear_network_has_gaussian_messages():
    """β of h ← a h + x + σε under ½ (h − y)²: precision P ← a² P/(1 + σ² P) + 1, in closed form."""
    net, x, y = linear()
    sigma, a = 0.4, 0.8
    hmm = as_dbn(net, x, SquaredError(y)).discretize(sigma)
    h = hmm.visited[:, 0]
    P, centre, expected = 1.0, y[-1, 0], np.zeros(len(x))
    for t in range(len(x) - 1, -1, -1):
        expected[t] = P * (h[t] - centre)
        back = a**2 * P / (1 + sigma**2 * P)
        towards = (centre - x[t, 0]) / a
        P, centre = back + 1, (back * towards + y[t - 1, 0]) / (back + 1)
    np.testing.assert_allclose(hmm.slopes[:, 0], expected, rtol=0, atol=2e-6)
    assert np.abs(expected - bptt(net, x, SquaredError(y)).gradient["h"].ravel()).max() > 1e-2


def test_log_z_tends_to_minus_the_loss():
    net, x, y = linear()
    loss = bptt(net, x, SquaredError(y)).total
    gaps = [as_dbn(net, x, SquaredError(y)).discretize(s).messages.total + loss for s in (0.05, 0.025)]
    assert abs(gaps[1]) < 0.05 and gaps[0] / gaps[1] == pytest.approx(4, rel=0.03)


def test_rows_are_distributions_and_a_network_without_inputs_has_one_table():
    net = RNN(1, 1, random_state=0)
    hmm = as_dbn(net, np.ones((5, 1)), SquaredError(np.zeros((5, 1)))).discretize(0.1, cells=20)
    assert hmm.log_transition.shape == (20, 20)
    np.testing.assert_allclose(np.exp(hmm.log_transition).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(hmm.log_start).sum(), 1)
    assert "20 states" in repr(hmm) and hmm.expected().shape == (5, 1)
    # The same tables with a step axis are the same model.
    x = np.ones((5, 1))
    x[0] = 2.0
    assert as_dbn(net, x, SquaredError(np.zeros((5, 1)))).discretize(0.1, cells=20).log_transition.ndim == 2


NETS = {
    "rnn": (lambda: RNN(1, 1, random_state=0), (0.2, 0.1, 0.05), (81, 161)),
    "gru": (lambda: GRU(1, 1, random_state=1), (0.2, 0.1, 0.05), (121,)),
    "lstm": (lambda: LSTM(1, 1, random_state=0), (0.2, 0.14), (41,)),
    "two units": (lambda: RNN(1, 2, random_state=2), (0.2, 0.14), (31, 41)),
    "two layers": (lambda: RNN(1, 1, num_layers=2, random_state=2), (0.2, 0.14), (41,)),
}
LOSSES = {
    "squared": lambda y, n: SquaredError(y, readout=Linear(n, 1, random_state=3)),
    "cross entropy": lambda y, n: CrossEntropy(
        (y[:, 0] > 0).astype(int), readout=Linear(n, 2, random_state=3)
    ),
    "poisson": lambda y, n: PoissonNLL(np.abs(y).round(), readout=Linear(n, 1, random_state=3)),
}


@pytest.mark.parametrize("net", list(NETS))
@pytest.mark.parametrize("loss", list(LOSSES))
def test_slopes_tend_to_cotangents_with_the_square_of_the_noise(net, loss):
    make, sigmas, cells = NETS[net]
    rng = np.random.default_rng(5)
    built = make()
    x, y = rng.normal(size=(4, 1)), rng.normal(size=(4, 1))
    curve = refine(built, x, LOSSES[loss](y, built.output_size), sigmas, cells)
    assert curve.rate == pytest.approx(2, abs=0.15)
    assert curve.extrapolated < 0.2 * curve.errors[-1, -1]
    assert curve.errors[-1, -1] < 0.05


def test_a_grid_coarser_than_the_noise_loses_the_slope():
    rng = np.random.default_rng(0)
    net = RNN(1, 1, random_state=0)
    net.weights["weight_hh_l0"][:] = 1.2
    curve = refine(
        net, rng.normal(size=(6, 1)), SquaredError(rng.normal(size=(6, 1))), (0.1, 0.02), (21, 41, 161)
    )
    assert curve.errors.shape == (2, 3) and (np.diff(curve.spacing) < 0).all()
    assert curve.errors[1, 0] > 10 * curve.errors[1, 2] and curve.errors[1, 0] > curve.errors[0, 0]
    assert "∝ σ^" in repr(curve)
    assert len(curve.to_frame()) == 6
    assert len(curve.plot().lines) >= 4


def test_correspondence_prints_both_sides():
    net, x, y = linear()
    lined = correspondence(net, x, SquaredError(y), sigma=0.05)
    np.testing.assert_allclose(lined.adjoint, bptt(net, x, SquaredError(y)).gradient["h"].reshape(-1, 1))
    assert lined.relative < 0.02 and np.abs(lined.gap).max() == np.abs(lined.slope - lined.adjoint).max()
    assert repr(lined).count("\n") == 7 and list(lined.to_frame().time) == list(range(6))
    assert lined.plot().get_legend() is not None


def test_bad_settings_are_refused():
    dbn = as_dbn(RNN(1, 1, random_state=0), np.ones((3, 1)), SquaredError(np.zeros((3, 1))))
    with pytest.raises(DataError, match="sigma must be positive"):
        dbn.discretize(0.0)
    with pytest.raises(DataError, match="sigma must be a positive number"):
        dbn.discretize("wide")
    with pytest.raises(ShapeError, match="sigma has shape"):
        dbn.discretize([0.1, 0.2])
    with pytest.raises(DataError, match="not both"):
        dbn.discretize(0.1, grid=[np.linspace(-1, 1, 9)], cells=9)
    with pytest.raises(DataError, match="points that increase"):
        dbn.discretize(0.1, grid=[np.zeros(9)])
    with pytest.raises(DataError, match="runs from 5 to 6, and the network goes from"):
        dbn.discretize(0.1, grid=[np.linspace(5, 6, 9)])
    with pytest.raises(ShapeError, match="1 axes of points"):
        dbn.discretize(0.1, grid=[np.linspace(-1, 1, 9)] * 2)
    with pytest.raises(DataError, match="cells must be a whole number"):
        dbn.discretize(0.1, cells=2)
    with pytest.raises(DataError, match="sigmas must be positive"):
        refine(dbn, sigmas=(-1,))
    with pytest.raises(DataError, match="a DBN has its data"):
        refine(dbn, np.ones((3, 1)))
    wide = as_dbn(RNN(1, 6, random_state=0), np.ones((3, 1)), SquaredError(np.zeros((3, 6))))
    with pytest.raises(UnsupportedError, match="GiB over 3 steps"):
        wide.discretize(0.05)


def test_a_grid_of_ones_own():
    grid = np.linspace(-1.5, 1.5, 33)
    dbn = as_dbn(RNN(1, 1, random_state=0), np.ones((3, 1)), SquaredError(np.zeros((3, 1))))
    hmm = dbn.discretize(0.2, grid=grid)
    np.testing.assert_array_equal(hmm.points[:, 0], grid)
    assert hmm.resolution == pytest.approx(0.2 / (3 / 32)) and run(hmm.graph).total == hmm.messages.total


@pytest.mark.peers
@pytest.mark.parametrize("varied", [True, False])
def test_pgmpy_has_the_same_beliefs(varied):
    pytest.importorskip("pgmpy")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 1)) if varied else np.ones((4, 1))
    y = rng.normal(size=(4, 1)) if varied else np.zeros((4, 1))
    hmm = as_dbn(RNN(1, 1, random_state=0), x, SquaredError(y)).discretize(0.4, cells=7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from pgmpy.inference import DBNInference

        model, evidence = hmm.to_pgmpy()
        assert model.check_model() and any(name == "input" for name, _ in evidence) == varied
        inference = DBNInference(model)
        for t in range(4):
            seen = {k: v for k, v in evidence.items() if k[1] <= t}
            filtered = inference.forward_inference([("state", t)], seen)["state", t].values
            alpha = np.exp(hmm.messages.forward["state"][t])
            np.testing.assert_allclose(filtered, alpha / alpha.sum(), rtol=1e-9)
