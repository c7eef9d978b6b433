"""Bogacki-Shampine 3(2): four stages, of which the last is the next step's first."""

from rnn.ode.tableau import Tableau, hermite

_B = (2 / 9, 1 / 3, 4 / 9, 0.0)

BOSH3 = Tableau(
    "bosh3",
    3,
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=_B,
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    error_order=2,
    dense=hermite(_B),
    dense_order=3,
    source="Bogacki & Shampine 1989",
)
