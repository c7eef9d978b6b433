"""The stopping rule."""

import logging

from hmm import ConvergenceMonitor


def test_converged_means_a_gain_below_the_tolerance():
    m = ConvergenceMonitor(tol=1e-2, n_iter=5, verbose=False)
    for value, converged in [(-10.0, False), (-5.0, False), (-4.995, True)]:
        m.report(value)
        assert m.converged is converged
    assert m.iter == 3 and m.history == [-10.0, -5.0, -4.995]
    m.reset()
    assert m.iter == 0 and m.history == [] and not m.converged


def test_running_out_of_iterations_is_not_convergence():
    m = ConvergenceMonitor(tol=1e-2, n_iter=2, verbose=False)
    m.report(-10.0)
    m.report(-5.0)
    assert not m.converged


def test_going_down_is_logged(caplog):
    m = ConvergenceMonitor(tol=1e-2, n_iter=5, verbose=False)
    with caplog.at_level(logging.WARNING, "hmm"):
        m.report(-5.0)
        m.report(-5.0 - 1e-12)
        assert not caplog.text
        m.report(-6.0)
    assert "not converging" in caplog.text


def test_what_verbose_prints(capsys):
    m = ConvergenceMonitor(tol=1e-2, n_iter=5, verbose=True)
    m.report(-5.0)
    m.report(-4.5)
    first, second = capsys.readouterr().err.splitlines()
    assert first.split() == ["1", "-5.00000000", "+nan"] and second.split() == [
        "2",
        "-4.50000000",
        "+0.50000000",
    ]
