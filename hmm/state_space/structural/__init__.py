"""Structural time series: components put together, fitted by exact likelihood, and read component by
component.

``assembly.py`` makes one set of matrices of many components, ``graph.py`` the factor graph,
``likelihood.py`` runs it; ``climb.py`` fits, ``errors.py`` says how well; ``decomposition.py``, ``ahead.py``
and ``disturbances.py`` read messages; ``diagnostics.py`` tests residuals. ``model.py`` is the estimator.
"""
