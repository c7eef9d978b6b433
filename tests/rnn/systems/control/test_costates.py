"""Identity 5 as users see it: Adjoint, Gaussian messages and scipy agree on the co-state."""

import numpy as np
import pytest

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.control import LinearQuadratic, compare_costates
from tests.rnn.systems.control.lq_models import positive


@pytest.mark.parametrize("cross", [False, True])
def test_three_ways_agree(rng, cross):
    joint = positive(rng, 5)
    extra = {"N": joint[:3, 3:]} if cross else {}
    problem = LinearQuadratic(
        rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), joint[:3, :3], joint[3:, 3:], **extra
    )
    found = compare_costates(problem, rng.normal(size=3))
    assert found.gap < 1e-9
    assert np.abs(found.adjoint).max() > 0.1
    assert len(str(found).splitlines()) == 1 + 21 * 3


def test_a_difference_is_seen():
    found = compare_costates(LinearQuadratic(1.0, 1.0, 1.0, 1.0), [1.0])
    assert found._replace(gaussian=found.gaussian * 1.001).gap == pytest.approx(1e-3, rel=0.01)


def test_figure():
    pytest.importorskip("matplotlib")
    found = compare_costates(LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0), [1, 0])
    axes = found.plot().axes
    assert len(axes) == 2
    np.testing.assert_allclose(axes[0].lines[2].get_ydata(), axes[0].lines[0].get_ydata(), rtol=1e-9)


def test_scipy_has_no_linear_terms():
    with pytest.raises(ShapeError, match="scipy solves"):
        compare_costates(LinearQuadratic(1.0, 1.0, 1.0, 1.0, q=[1.0]), [1.0])


def test_what_scipy_cannot_solve():
    with pytest.raises(NumericalError, match="stationary_lqr names the mode"):
        compare_costates(LinearQuadratic(np.diag([2.0, 0.5]), [0, 1], np.eye(2), 1.0), [1, 0])
    with pytest.raises(DataError, match="takes a LinearQuadratic"):
        compare_costates(3, [1, 0])
