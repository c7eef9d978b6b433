"""Models with several hidden variables a time step: dynamic Bayesian networks.

A :class:`~hmm.dynamic.network.Network` is one model as a value: conditional tables within a step and from the
step before, and emissions over some of the variables. It makes the factor graph, which runs from slice to
slice under :class:`msgpass.JunctionTree`, and re-estimates itself from what arrives at the parameters.
"""
