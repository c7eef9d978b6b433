"""Plants that are networks: one step x_{t+1} = x_t + net(x_t, u_t), its weights the plant's parameters, and
the fit of such a step to recorded transitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn.losses import SquaredError
from rnn.networks import MLP, Recurrence
from rnn.readout import Linear
from rnn.systems.control.checks import real
from rnn.systems.control.plant import Plant
from rnn.training import History, fit


@dataclass(frozen=True, repr=False)
class LearnedPlant:
    """What :func:`learn_plant` returns.

    Attributes
    ----------
    plant : Plant
        x + net((x, u)), in the units of the data; its parameters are the network's weights.
    network, readout : MLP, Linear
    history : History
        Of the fit.
    error : (n,) array
        One-step error on transitions that were held out, root mean square, as a part of the standard
        deviation of what the state moves in a step.
    """

    plant: Plant
    network: MLP
    readout: Linear
    history: History
    error: np.ndarray

    def __repr__(self) -> str:
        return f"<LearnedPlant: {self.plant!r}, held-out error of a step up to {self.error.max():.2%}>"


def network_plant(net, readout=None, inputs: int | None = None, scale=None, **settings) -> Plant:
    """A plant whose step is a network; see :meth:`Plant.from_network`."""
    if isinstance(net, Recurrence):
        if readout is not None or scale is not None or len(net.states) != 1:
            raise UnsupportedError("a Recurrence is a plant by itself: one state, no readout, no scale")
        names = list(net._given)

        def recurrent(x, u, w):
            return net.f(x, u, *(w[name] for name in names))

        weights = {name: net.weights[name] for name in names}
        settings = {"name": "recurrence", "vectorized": True, **settings}
        return Plant(recurrent, net.output_size, net.input_size, params=weights or None, **settings)
    if not isinstance(net, MLP) or not isinstance(readout, Linear):
        raise DataError(
            f"a plant is made of an MLP with a Linear readout or of a Recurrence, got {type(net).__name__} "
            f"with {type(readout).__name__}; wrap the step of another network: Plant(f, states, inputs, "
            "params=weights)"
        )
    n, m = readout.out_features, net.input_size - readout.out_features
    if (inputs is not None and inputs != m) or m < 1:
        raise ShapeError(
            f"the network takes {net.input_size} numbers and gives {n}, which leaves {m} controls"
            + (f", wanted {inputs}" if inputs is not None else "")
        )
    low, wide, unit = (np.zeros(n + m), np.ones(n + m), np.ones(n)) if scale is None else scale
    layers = len(net.hidden_sizes)

    def step(x, u, w):
        h = (np.concatenate([x, u], axis=-1) - low) / wide
        for k in range(layers):
            h = np.tanh(h @ w[f"weight_{k}"].T + w[f"bias_{k}"])
        moved = h @ w["readout.weight"].T
        return x + unit * (moved + w["readout.bias"] if readout.bias else moved)

    weights = net.state_dict() | {f"readout.{key}": value for key, value in readout.state_dict().items()}
    return Plant(step, n, m, params=weights, **{"name": "network", "vectorized": True, **settings})


def learn_plant(
    states,
    inputs,
    after=None,
    hidden_sizes=(32,),
    *,
    held_out: float = 0.2,
    random_state=0,
    n_iter: int = 500,
    tol: float | None = 1e-6,
    **settings,
) -> LearnedPlant:
    """Fit x_{t+1} = x_t + net(x_t, u_t) to recorded transitions, by :func:`rnn.fit` with L-BFGS.

    Parameters
    ----------
    states : (T + 1, n) array, or (paths, T + 1, n); with ``after`` (N, n)
    inputs : (T, m) array, or (paths, T, m); with ``after`` (N, m)
    after : (N, n) array, optional
        The states that ``states`` and ``inputs`` led to, where transitions are no paths.
    hidden_sizes : sequence of int
        Of the :class:`rnn.MLP`; what goes in and comes out is scaled by its standard deviation.
    held_out : float
        Part of the transitions that the error is measured on.
    random_state : int or Generator
        Of the first weights and of what is held out.
    n_iter, tol
        As for :func:`rnn.fit`; no warning is given where the fit stops early, for ``error`` tells how good
        it is.
    **settings
        ``dt``, ``name`` and ``pose`` of the :class:`Plant`.

    Returns
    -------
    LearnedPlant

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, u = rng.normal(size=(200, 2)), rng.normal(size=(200, 1))
    >>> learned = learn_plant(x, u, 0.9 * x + 0.1 * u, hidden_sizes=(8,))
    >>> bool(learned.error.max() < 0.05)
    True
    """
    x, u, y = _transitions(states, inputs, after)
    if not isinstance(held_out, float | int) or not 0 <= held_out < 1:
        raise DataError(f"held_out must be a part of the data, 0 ≤ held_out < 1, got {held_out!r}")
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(x))
    kept = order[int(held_out * len(x)) :]
    if len(kept) < 2:
        raise DataError(f"{len(x)} transitions are too few to learn from")
    z, moved = np.concatenate([x, u], axis=1), y - x
    low, wide, unit = z[kept].mean(axis=0), _deviation(z[kept]), _deviation(moved[kept])
    net = MLP(z.shape[1], hidden_sizes, random_state=rng)
    readout = Linear(net.output_size, x.shape[1], random_state=rng)
    loss = SquaredError((moved[kept] / unit)[:, None], "mean", readout)
    history = _quiet(
        fit, net, ((z[kept] - low) / wide)[:, None], loss, n_iter=n_iter, tol=tol, progress=False
    )
    plant = network_plant(net, readout, scale=(low, wide, unit), **settings)
    test = order[: len(x) - len(kept)] if len(kept) < len(x) else kept
    missed = plant(x[test], u[test], np.zeros(len(test))) - y[test]
    return LearnedPlant(plant, net, readout, history, np.sqrt((missed**2).mean(axis=0)) / unit)


def _transitions(states, inputs, after):
    x, u = real("states", states), real("inputs", inputs)
    if after is None:
        if x.ndim not in (2, 3) or u.shape[:-1] != (*x.shape[:-2], x.shape[-2] - 1):
            raise ShapeError(
                f"states and inputs have shapes {x.shape} and {u.shape}, wanted (T + 1, n) and (T, m), or "
                "both with an axis of paths in front; give after= where transitions are no paths"
            )
        x, y = x[..., :-1, :], x[..., 1:, :]
    else:
        y = real("after", after)
        if x.ndim != 2 or y.shape != x.shape or u.ndim != 2 or len(u) != len(x):
            raise ShapeError(
                f"states, inputs and after have shapes {x.shape}, {u.shape} and {y.shape}, wanted (N, n), "
                "(N, m) and (N, n)"
            )
    return (a.reshape(-1, a.shape[-1]) for a in (x, u, y))


def _deviation(rows: np.ndarray) -> np.ndarray:
    found = rows.std(axis=0)
    return np.where(found > 1e-12 * np.maximum(np.abs(rows).max(axis=0), 1e-300), found, 1.0)


def _quiet(function, *args, **kwargs):
    """A fit that may stop before it met its tolerance."""
    import warnings

    from msgpass.errors import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)
