"""``import hmm`` is light: scikit-learn comes with the first model."""

import subprocess
import sys

import pytest

import hmm


def test_scikit_learn_waits_for_the_first_model():
    code = "import sys, hmm; assert 'sklearn' not in sys.modules; hmm.PoissonHMM"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there():
    assert {name: getattr(hmm, name).__name__ for name in hmm.__all__} == {name: name for name in hmm.__all__}
    assert set(hmm.__all__) <= set(dir(hmm))


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="it has GMMHMM"):
        _ = hmm.GaussHMM
