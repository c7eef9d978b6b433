"""The explicit midpoint rule: f at the middle of an Euler half-step."""

from rnn.ode.tableau import Tableau

MIDPOINT = Tableau(
    "midpoint",
    2,
    a=((), (1 / 2,)),
    b=(0.0, 1.0),
    c=(0.0, 1 / 2),
    error=(-1.0, 1.0),
    error_order=1,
    dense=((1.0, -1.0), (0.0, 1.0)),
    dense_order=2,
    source="Runge 1895; error against Euler's",
)
