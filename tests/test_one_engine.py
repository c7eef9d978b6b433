"""The report's short models and the packages ``hmm`` and ``rnn`` are the same models."""

import numpy as np
import pytest

from hmm import CategoricalHMM, GaussianHMM, PoissonHMM
from msgpass import data, run
from msgpass.report import hidden_markov, recurrent
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt


def as_estimator(model, values):
    """The fitted model with the estimator's names."""
    kinds = {"counts": PoissonHMM, "real": GaussianHMM, "categorical": CategoricalHMM}
    other = kinds[model.kind](n_components=model.states)
    if model.kind == "categorical":
        other.n_features = model.emission["probability"].shape[1]
        other.emissionprob_ = model.emission["probability"]
    elif model.kind == "counts":
        other.lambdas_ = model.emission["rate"][:, None]
    else:
        other.means_, other.covars_ = model.emission["mean"][:, None], model.emission["variance"][:, None]
    other.startprob_, other.transmat_ = model.init, model.transition
    return other


@pytest.mark.parametrize("name", ["earthquakes", "nile", "letters"])
def test_likelihood_and_posterior(name, rng):
    series = data.load(name)
    values = series.values
    categories = len(series.categories)
    model = hidden_markov.fit(values, series.kind, 2, rng=rng, categories=categories, starts=2, iterations=60)
    other = as_estimator(model, values)
    column = values.reshape(-1, 1)
    m = run(model.graph(values))
    assert other.score(column) == pytest.approx(m.total, rel=1e-10)
    np.testing.assert_allclose(other.predict_proba(column), np.exp(m.belief["z"]), atol=1e-9)


def test_both_find_the_optimum_of_earthquakes(rng):
    values = data.load("earthquakes").values
    model = hidden_markov.fit(values, "counts", 2, rng=rng)
    other = PoissonHMM(n_components=2, random_state=0, tol=1e-7).fit(values)
    assert other.score(values) == pytest.approx(model.log_likelihoods[-1], abs=1e-4)
    np.testing.assert_allclose(np.sort(other.lambdas_.ravel()), model.emission["rate"], atol=1e-2)


@pytest.mark.parametrize("name", ["nile", "letters"])
def test_gradients_and_adjoints(name, rng):
    series = data.load(name)
    values, hidden = series.values[:50], 4
    ours = recurrent._start(values, series.kind, hidden, rng, len(series.categories))
    m = run(ours.graph(values))

    w, width = ours.weights, len(ours.weights["bias_out"])
    net = RNN(ours.inputs(values).shape[1], hidden)
    zero = np.zeros(hidden)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    net.load_state_dict(dict(zip(names, (w["weight_ih"], w["weight_hh"], w["bias"], zero), strict=True)))
    readout = Linear(hidden, width)
    readout.load_state_dict({"weight": w["weight_out"], "bias": w["bias_out"]})
    if series.kind == "real":
        loss = SquaredError(ours.targets(values), readout=readout)
    else:
        loss = CrossEntropy(values, readout=readout)
    theirs = bptt(net, ours.inputs(values), loss)

    assert theirs.total == pytest.approx(m.total, rel=1e-10)
    pairs = {
        **{"weight_ih": "weight_ih_l0", "weight_hh": "weight_hh_l0", "bias": "bias_ih_l0"},
        **{"weight_out": "readout.weight", "bias_out": "readout.bias"},
    }
    for mine, other in pairs.items():
        np.testing.assert_allclose(theirs.parameters[other], m.parameters[mine], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(theirs.gradient["h_l0"][:, 0], m.gradient["h"], rtol=1e-8, atol=1e-9)
