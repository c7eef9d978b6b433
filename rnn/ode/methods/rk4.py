"""The classical Runge-Kutta method; no error estimate, so its steps are fixed."""

from rnn.ode.tableau import Tableau

RK4 = Tableau(
    "rk4",
    4,
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    dense=((1.0, -3 / 2, 2 / 3), (0.0, 1.0, -2 / 3), (0.0, 1.0, -2 / 3), (0.0, -1 / 2, 2 / 3)),
    dense_order=3,
    source="Kutta 1901; dense output: Hairer, Nørsett & Wanner I, II.6",
)
