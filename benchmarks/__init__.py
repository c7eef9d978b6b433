"""Side-by-side timings against other libraries: ``python -m benchmarks --help``.

A case yields problems; a problem names its contenders; the harness checks that their results agree, times
them interleaved and reports ratios, spread and the share of what the machine can do.
"""
