"""Switching linear dynamical systems: a Markov chain of regimes picks the matrices of a state space.

``space.py`` is a model as a value, ``graph.py`` the factor graph of it and data. ``expectation.py`` reads a
run by regime, ``maximise.py`` is the M-step, ``structure.py`` what it may move, ``climb.py`` approximate EM,
``starting.py`` where it starts. ``inference.py`` reads beliefs. ``model.py`` is the estimator.
"""
