"""Variational Bayes: a distribution over the parameters in place of one value, and a bound on the evidence.

    log p(x) ≥ L(q) = E_q[log p(x, z, θ) − log q(z) − log q(θ)]        q(z, θ) = q(z) q(θ)

Given q(θ), the best q(z) is the posterior of a chain whose log tables are E log π, E log A and
E log p(x_t | k); they are sub-normalised, and log Z of that chain, less KL(q(θ) ‖ p(θ)), is L. Given q(z),
the best q(θ) is conjugate: prior plus expected counts, which are what arrives at the graph's parameters. So
Baum-Welch climbs L as it is, over a chain that holds posteriors (MacKay 1997; Beal 2003, ch. 3).
"""
