"""What is read with attention weights: c = Σ_s a_s m_s, the context.

VJP   ā_s = c̄ · m_s,   m̄_s = Σ_n a_s c̄
"""

from __future__ import annotations

from msgpass import Step
from rnn.attention.products import match, mix, spread


def read(attention, memory):
    """Σ_s a m."""
    return mix(attention, memory)


READ = Step(
    read,
    jvp=lambda inputs, tangents: mix(tangents[0], inputs[1]) + mix(inputs[0], tangents[1]),
    vectorized=True,
    hvp=lambda inputs, cotangent, tangents: (match(cotangent, tangents[1]), spread(tangents[0], cotangent)),
    split=(
        lambda inputs, cotangent: (match(cotangent, inputs[1]), None),
        lambda inputs, cotangent: (None, spread(inputs[0], cotangent)),
    ),
)
