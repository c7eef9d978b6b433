"""Figures of models show what the model says, and belong to the caller."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from hmm.plot import plot_posterior, plot_selection, plot_states, plot_transitions
from msgpass.errors import DataError, ShapeError
from tests.hmm.drawn import KINDS, make


@pytest.fixture(params=KINDS)
def model(request, rng):
    return make(request.param, 3, 2, rng)


def test_states_over_the_data(model, rng):
    X = model.sample(20, rng)[0]
    fig = model.plot_states(X, [12, 8], labels=["a", "b", "c"])
    fig.canvas.draw()
    top, low = fig.axes
    path = model.predict(X, [12, 8])
    assert len(top.patches) == 1 + np.count_nonzero(np.diff(path))
    np.testing.assert_array_equal(top.lines[0].get_ydata(), X[:, 0])
    assert len(low.collections) == 3
    assert [line.get_xdata()[0] for ax in (top, low) for line in ax.lines if len(line.get_xdata()) == 2] == [
        11.5
    ] * 2
    texts = {
        t.get_text() for legend in top.findobj(lambda a: hasattr(a, "get_texts")) for t in legend.get_texts()
    }
    assert {"a", "b", "c"} <= texts


def test_the_mean_of_the_state_follows_the_path(rng):
    model = make("poisson", 2, 1, rng)
    X = model.sample(15, rng)[0]
    (line,) = [x for x in plot_states(model, X).axes[0].lines if x.get_label() == "mean of the state"]
    np.testing.assert_array_equal(line.get_ydata(), model.lambdas_[model.predict(X), 0])


def test_many_features_show_the_first(rng):
    model = make("diag", 2, 6, rng)
    assert plot_states(model, model.sample(9, rng)[0]).axes[0].get_ylabel() == "first 4 of 6 features"


def test_posteriors(model, rng):
    X = model.sample(20, rng)[0]
    fig = model.plot_posterior([X, X])
    fig.canvas.draw()
    (image,) = fig.axes[0].images
    np.testing.assert_allclose(image.get_array().T, model.predict_proba([X, X]))
    np.testing.assert_array_equal(fig.axes[0].lines[0].get_ydata(), model.predict([X, X]))
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == ["state 0", "state 1", "state 2"]
    assert len(plot_posterior(make("poisson", 13, 1, rng), [[1], [2]]).axes) == 2


def test_every_transition_is_an_arrow_with_its_probability(rng):
    model = make("poisson", 3, 1, rng)
    model.transmat_ = [[0.9, 0.1, 0], [0, 0.998, 0.002], [0.25, 0.25, 0.5]]
    fig = model.plot_transitions(["calm", "usual", "busy"])
    fig.canvas.draw()
    (ax,) = fig.axes
    assert sum(isinstance(p, FancyArrowPatch) for p in ax.patches) == 6
    texts = sorted(t.get_text() for t in ax.texts)
    assert texts == sorted(["calm", "usual", "busy", "0.90", "0.10", "0.998", "0.25", "0.25", "0.50"])
    assert len(plot_transitions(make("poisson", 1, 1, rng)).axes[0].texts) == 2


def test_selection_marks_the_least(rng):
    X = make("poisson", 2, 1, rng).sample(30, rng)[0]
    models = [make("poisson", k, 1, rng) for k in (3, 1, 2, 2)]
    fig = plot_selection(models, X)
    fig.canvas.draw()
    (ax,) = fig.axes
    curve = ax.lines[0]
    assert curve.get_xdata().tolist() == [1, 2, 3]
    assert curve.get_ydata()[1] == min(models[2].aic(X), models[3].aic(X))
    assert curve.get_label() == f"AIC: {curve.get_xdata()[curve.get_ydata().argmin()]}"
    with pytest.raises(DataError, match="no models"):
        plot_selection([], X)


def test_labels_are_counted(rng):
    with pytest.raises(ShapeError, match="1 labels for 2 states"):
        plot_transitions(make("poisson", 2, 1, rng), ["calm"])
