"""Loopy belief propagation over tables."""
