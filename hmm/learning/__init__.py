"""Estimation: restarts, Baum-Welch, what keeps parameters where they are, checkpoints on disk."""
