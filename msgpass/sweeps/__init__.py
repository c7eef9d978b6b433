"""The sweeps that run a plan's blocks: short NumPy references, which hand over to compiled kernels where one
fits.
"""
