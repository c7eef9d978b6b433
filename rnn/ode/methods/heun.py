"""Heun's method: the trapezoidal rule with an Euler step for its end."""

from rnn.ode.tableau import Tableau

HEUN = Tableau(
    "heun",
    2,
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    error=(-1 / 2, 1 / 2),
    error_order=1,
    dense=((1.0, -1 / 2), (0.0, 1 / 2)),
    dense_order=2,
    source="Heun 1900; error against Euler's",
)
