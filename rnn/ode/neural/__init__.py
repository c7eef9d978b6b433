"""rnn.ode.neural: trained differential equations as networks, and estimators of irregular series."""

from importlib import import_module

from rnn.ode.neural.neural_ode import NeuralODE
from rnn.ode.neural.ode_rnn import ODERNN

__all__ = ["ODERNN", "IrregularClassifier", "IrregularRegressor", "NeuralODE"]

_LATER = {
    "IrregularClassifier": "rnn.ode.neural.classifier",
    "IrregularRegressor": "rnn.ode.neural.regressor",
}
"""Names that bring scikit-learn with them, and from where."""


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"rnn.ode.neural has no {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found
