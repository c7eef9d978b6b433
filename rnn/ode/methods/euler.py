"""Euler's method: y + h f(t, y)."""

from rnn.ode.tableau import Tableau

EULER = Tableau("euler", 1, ((),), (1.0,), (0.0,), dense=((1.0,),), dense_order=1, source="Euler 1768")
