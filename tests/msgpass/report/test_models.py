"""The report's two models against what is known about them."""

import numpy as np
import pytest

from msgpass import data, run
from msgpass.report import hidden_markov, recurrent


@pytest.mark.parametrize(
    ("states", "log_likelihood", "rates"),
    [
        (1, -391.918928165, [19.36449]),
        (2, -341.878701012, [15.42076, 26.01823]),
        (3, -328.527483380, [13.13376, 19.71316, 29.70972]),
    ],
)
def test_earthquakes(states, log_likelihood, rates, rng):
    values = data.load("earthquakes").values
    model = hidden_markov.fit(values, "counts", states, rng=rng)
    assert model.log_likelihoods[-1] == pytest.approx(log_likelihood, abs=1e-5)
    assert model.emission["rate"] == pytest.approx(rates, abs=2e-3)
    assert run(model.graph(values)).total == pytest.approx(model.log_likelihoods[-1])


@pytest.mark.parametrize("name", ["earthquakes", "nile", "letters"])
def test_baum_welch_never_goes_down(name, rng):
    series = data.load(name)
    model = hidden_markov.fit(
        series.values, series.kind, 2, rng=rng, categories=len(series.categories), starts=2
    )
    assert np.diff(model.log_likelihoods).min() > -1e-8
    np.testing.assert_allclose(model.transition.sum(axis=1), 1.0)


def test_letters_fall_into_vowels_and_consonants():
    series = data.load("letters")
    rng = np.random.default_rng(0)
    model = hidden_markov.fit(series.values, "categorical", 2, rng=rng, categories=len(series.categories))
    probability = model.emission["probability"]
    where = dict(zip(series.categories, probability.argmax(axis=0), strict=True))
    assert len({where[vowel] for vowel in "aeio"}) == 1
    assert {where[c] for c in "bcdfgklmnpqrstvwy"} == {1 - where["a"]}


def test_missing_values_are_summed_out(rng):
    values = data.load("nile").values.copy()
    values[[0, 20, 21, 99]] = np.nan
    model = hidden_markov.fit(values, "real", 2, rng=rng, starts=2)
    assert (model.log_evidence(values)[[0, 20, 21, 99]] == 0).all()
    # A missing end says nothing, so that leaving it out changes no message but the last.
    full, cut = run(model.graph(values)), run(model.graph(values[:99]))
    assert full.total == pytest.approx(cut.total)
    np.testing.assert_allclose(full.belief["z"][:99], cut.belief["z"], atol=1e-10)


def test_inputs_are_the_values_before():
    net = recurrent._start(np.array([1.0, 2.0, np.nan, 4.0]), "real", 2, np.random.default_rng(0), 0)
    x = net.inputs(np.array([1.0, 2.0, np.nan, 4.0]))[:, 0] * net.spread + net.location
    np.testing.assert_allclose(x[1:], [1.0, 2.0, 2.0])
    assert net.inputs(np.array([1.0, 2.0, np.nan, 4.0]))[0, 0] == 0.0


@pytest.mark.parametrize("name", ["earthquakes", "nile", "letters"])
def test_gradient_is_that_of_minus_the_log_density(name, rng):
    series = data.load(name)
    values = series.values[:40].copy()
    net = recurrent._start(values, series.kind, 3, rng, len(series.categories))
    m = run(net.graph(values))
    for weight in recurrent.WEIGHTS:
        direction = rng.normal(size=net.weights[weight].shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = {weight: net.weights[weight] + step * direction}
            ends.append(np.nansum(net.log_density(values, run(net.graph(values), values=moved))))
        # The squared error's gradient is that of the Gaussian log-density at unit noise.
        assert -(ends[0] - ends[1]) / 2e-5 == pytest.approx(
            (m.parameters[weight] * direction).sum(), rel=1e-5, abs=1e-7
        )


def test_training_lowers_the_loss(rng):
    series = data.load("sunspots")
    net = recurrent.fit(series.values[:100], series.kind, 4, rng=rng, iterations=30)
    assert np.diff(net.losses).max() < 1e-9
    assert net.losses[-1] < 0.5 * net.losses[0]


def test_jacobians_carry_the_adjoints(rng):
    values = data.load("nile").values[:20]
    net = recurrent.fit(values, "real", 3, rng=rng, iterations=5)
    m = run(net.graph(values))
    local = m.gradient["h"] - m.backward["h"]
    np.testing.assert_allclose(
        m.backward["h"][:-1],
        np.einsum("tij,ti->tj", net.jacobians(m), (m.backward["h"] + local)[1:]),
        atol=1e-12,
    )
