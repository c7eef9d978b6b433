"""The trapezoidal rule: A-stable, not L-stable; order 2 with one equation a step. Fixed steps."""

from rnn.ode.tableau import Tableau, hermite

TRAPEZOID = Tableau(
    "trapezoid",
    2,
    a=((), (1 / 2, 1 / 2)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
    dense=hermite((1 / 2, 1 / 2)),
    dense_order=2,
    source="Crank & Nicolson 1947",
)
