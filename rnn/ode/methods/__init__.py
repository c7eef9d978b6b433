"""Methods as data, one file each."""

from rnn.ode.methods.bosh3 import BOSH3
from rnn.ode.methods.dopri5 import DOPRI5
from rnn.ode.methods.euler import EULER
from rnn.ode.methods.heun import HEUN
from rnn.ode.methods.implicit_euler import IMPLICIT_EULER
from rnn.ode.methods.kvaerno3 import KVAERNO3
from rnn.ode.methods.kvaerno5 import KVAERNO5
from rnn.ode.methods.midpoint import MIDPOINT
from rnn.ode.methods.rk4 import RK4
from rnn.ode.methods.trapezoid import TRAPEZOID
from rnn.ode.methods.tsit5 import TSIT5

METHODS = {
    tableau.name: tableau
    for tableau in (
        EULER,
        MIDPOINT,
        HEUN,
        RK4,
        BOSH3,
        DOPRI5,
        TSIT5,
        IMPLICIT_EULER,
        TRAPEZOID,
        KVAERNO3,
        KVAERNO5,
    )
}
"""By name."""
