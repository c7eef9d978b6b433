"""Kværnø 3(2): diagonally implicit, explicit first stage, stiffly accurate, L-stable."""

from rnn.ode.tableau import Tableau, hermite

_G = 0.4358665215084589994160194511935568425  # root of γ³ − 3γ² + 3/2 γ − 1/6
_B = (
    (6 * _G - 1) / (12 * _G),
    -1 / ((24 * _G - 12) * _G),
    (-6 * _G**2 + 6 * _G - 1) / (6 * _G - 3),
    _G,
)
_A3 = ((-4 * _G**2 + 6 * _G - 1) / (4 * _G), (-2 * _G + 1) / (4 * _G), _G)

KVAERNO3 = Tableau(
    "kvaerno3",
    3,
    a=((), (_G, _G), _A3, _B),
    b=_B,
    c=(0.0, 2 * _G, 1.0, 1.0),
    error=(_B[0] - _A3[0], _B[1] - _A3[1], _B[2] - _A3[2], _G),
    error_order=2,
    dense=hermite(_B),
    dense_order=3,
    source="Kværnø 2004",
)
