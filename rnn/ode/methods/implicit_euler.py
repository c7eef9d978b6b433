"""The implicit Euler method: y + h f(t + h, y(t + h)). L-stable."""

from rnn.ode.tableau import Tableau

IMPLICIT_EULER = Tableau(
    "implicit_euler",
    1,
    ((1.0,),),
    (1.0,),
    (1.0,),
    dense=((1.0,),),
    dense_order=1,
    source="Hairer & Wanner II",
)
