"""Diagnosis of recurrent networks: how far back the gradient of a loss is heard."""

from rnn.diagnose.diagnosis import Diagnosis
from rnn.diagnose.examine import diagnose, diagnosis
from rnn.diagnose.heads import Focus, focus, read_focus
from rnn.diagnose.lyapunov import lyapunov_exponents
from rnn.diagnose.plot import plot_paths

__all__ = [
    "Diagnosis",
    "Focus",
    "diagnose",
    "diagnosis",
    "focus",
    "lyapunov_exponents",
    "plot_paths",
    "read_focus",
]
