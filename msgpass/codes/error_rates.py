"""``error_rates``: how often a decoder is wrong, over channels from good to bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.codes.decoder import Decoder
from msgpass.errors import DataError


@dataclass(frozen=True, eq=False)
class ErrorRates:
    """Of each channel: the share of wrong bits and of wrong words, and of words that break a check.

    A wrong word that breaks no check has deceived the decoder: the channel took one word for another.
    """

    bits: np.ndarray
    words: np.ndarray
    detected: np.ndarray


def error_rates(decoder: Decoder, channels, words: int = 100, seed=None) -> ErrorRates:
    """Send random words through each channel and decode them.

    Parameters
    ----------
    decoder : Decoder
    channels : sequence
        Such as ``[BinarySymmetric(p) for p in (0.04, 0.06, 0.08)]``.
    words : int
        Words a channel. The same messages and the same stream of chance for each, so that curves are smooth.
    seed : int or Generator
    """
    if not isinstance(decoder, Decoder):
        raise DataError(
            f"error_rates: wanted a Decoder, got {type(decoder).__name__}; Decoder(code) makes one"
        )
    channels = [channels] if hasattr(channels, "log_evidence") else list(channels)
    if isinstance(words, bool) or not isinstance(words, int | np.integer) or words < 1:
        raise DataError(f"error_rates: words is a whole number ≥ 1, got {words!r}")
    code, seeds = decoder.code, np.random.default_rng(seed).integers(0, 2**63, words)
    found = np.zeros((3, len(channels)))
    for k, channel in enumerate(channels):
        for one in seeds:
            rng = np.random.default_rng(one)
            sent = code.encode(rng.integers(0, 2, code.dimension))
            got = decoder.decode(channel.log_evidence(channel.send(sent, rng)))
            wrong = got.word != sent
            found[:, k] += wrong.mean(), wrong.any(), not got.valid
    return ErrorRates(*(found / words))
