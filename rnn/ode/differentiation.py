"""autograd's VJP of functions that may not depend on what they are differentiated by."""

from __future__ import annotations

import warnings

from msgpass.interop.differentiators import autograd_vjp


def quiet_vjp(f, inputs, wanted):
    """(output, cotangent → cotangents): zeros where nothing depends on an input, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        return autograd_vjp(f, inputs, wanted)
