"""Linear-Gaussian state space models: the state is real, everything else is as in a hidden Markov model.

    x_{t+1} = F x_t + B u_t + b + N(0, Q)        y_t = H x_t + D u_t + d + N(0, R)

``space.py`` is a model as a value, ``series.py`` data, ``graph.py`` the factor graph of the two.
``expectation.py`` reads a run of it as sufficient statistics and gradients; ``maximise.py`` and
``regression.py`` are the M-step, ``ascent.py`` and ``coordinates.py`` the climb by gradients. ``model.py`` is
the estimator. ``components`` and ``structural`` are structural time series.

``nonlinear.py`` is a model whose state moves by a function and is seen through one; its graph has steps with
noise, which the engine linearises.
"""
