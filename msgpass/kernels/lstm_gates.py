"""The four gates of an LSTM, lane by lane, with one division for all of them."""

from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import (
    _reduced_expm1,
    absolute,
    add_exponent,
    copysign,
    fma,
    maximum,
    negative,
    select,
    splat_like,
)


@lean_jit(forceinline=True)
def vgates(zi, zf, zg, zo):
    """``(σ(zi), σ(zf), tanh(zg), σ(zo))``.

    As `vsigmoid` and `vtanh` have it: σ(z) is 1 / (1 + e) or e / (1 + e) with e = exp(-|z|), and tanh(z) is
    -m / (2 + m) with m = expm1(-2|z|). The denominators lie in [1, 2], so that their product can be inverted
    in place of each: a division takes as long as some ten multiplications. Below exp(-87), e stays there;
    NaN in one is NaN in all.
    """
    one, two, zero = splat_like(zi, 1.0), splat_like(zi, 2.0), splat_like(zi, 0.0)
    least = splat_like(zi, -87.0)
    p, s = _reduced_expm1(maximum(least, negative(absolute(zi))))
    ei = add_exponent(p + one, s)
    p, s = _reduced_expm1(maximum(least, negative(absolute(zf))))
    ef = add_exponent(p + one, s)
    p, s = _reduced_expm1(maximum(least, negative(absolute(zo))))
    eo = add_exponent(p + one, s)
    p, s = _reduced_expm1(maximum(splat_like(zi, -80.0), absolute(zg) * splat_like(zi, -2.0)))
    scale = add_exponent(one, s)
    m = fma(p, scale, scale - one)
    di, df, dg, do = one + ei, one + ef, two + m, one + eo
    first, second = di * df, dg * do
    inverse = one / (first * second)
    first, second = inverse * second, inverse * first
    i = select(zi < zero, ei, one) * (first * df)
    f = select(zf < zero, ef, one) * (first * di)
    g = copysign(m * (second * do), zg)
    o = select(zo < zero, eo, one) * (second * dg)
    return i, f, g, o
