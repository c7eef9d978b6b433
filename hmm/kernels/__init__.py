"""Compiled passes over the data of an emission, beside the NumPy forms that they are tested against."""
