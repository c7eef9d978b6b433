"""What the parts of a sweep over one group of lanes tell each other: a vector for each quantity."""

from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import load, select, splat, store

MANTISSA, EXPONENT, SMALLEST, LARGEST, TOTAL, LAST, ALIVE, SIZE = 0, 8, 16, 24, 32, 40, 48, 56
"""Z, the smallest sum of α, the largest β, the sum that scales the next step, each lane's last step, and 1
for a lane that counts, 0 for a spare one; then the size of the array."""

TABLES = 4
"""Tables of γ by row of evidence that take turns."""


@jit(forceinline=True, _nrt=False)
def closing_of(summary, lost):
    """1/Z, or 0 where a sum of α is lost and in spare lanes."""
    low = splat(lost)
    sound = load(summary, SMALLEST) >= low
    return select(sound, load(summary, ALIVE) / select(sound, load(summary, MANTISSA), low), splat(0.0))


@jit(forceinline=True, _nrt=False)
def smallest_of_sound(summary, lost):
    """The smallest sum of α, 0 where β has grown too large: lanes where this is ≥ ``lost`` are sound."""
    return select(load(summary, LARGEST) <= splat(1.0 / lost), load(summary, SMALLEST), splat(0.0))


@jit(forceinline=True, _nrt=False)
def add_sound(summary, lost, out, p, value):
    """``out[p:] += value`` in the lanes that are sound."""
    sound = smallest_of_sound(summary, lost) >= splat(lost)
    store(out, p, load(out, p) + select(sound, value, splat(0.0)))
