"""Linear codes over bits: built, encoded, sent through a channel and decoded by messages."""

from msgpass.codes.alist import read_alist, write_alist
from msgpass.codes.channels import BinaryErasure, BinarySymmetric, GaussianNoise
from msgpass.codes.checks import parity_checks
from msgpass.codes.construction import gallager, progressive_edge_growth
from msgpass.codes.decoder import Decoded, Decoder
from msgpass.codes.error_rates import ErrorRates, error_rates
from msgpass.codes.linear_code import LinearCode

__all__ = [
    "BinaryErasure",
    "BinarySymmetric",
    "Decoded",
    "Decoder",
    "ErrorRates",
    "GaussianNoise",
    "LinearCode",
    "error_rates",
    "gallager",
    "parity_checks",
    "progressive_edge_growth",
    "read_alist",
    "write_alist",
]
