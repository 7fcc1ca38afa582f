"""Reliability: where a method says P(intended) = .7, is it .7? A forecast may rank agents well and still not hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from goalscope.suites.score import Shares, stratify
from goalscope.suites.scores import Bin
from goalscope.suites.truth import Truth, complete

BINS = 10


def reliability(pairs: Iterable[tuple[Truth, Shares]]) -> tuple[Bin, ...]:
    """Bins of equal width over forecasts of P(intended) by strata: their mean, the mean truth, how many (Murphy 1973).

    Forecasts `[A, L, C]`; a case is an agent in a stratum. Where there is no forecast the reference's stands in.
    """
    said, true = [], []
    for truth, shares in pairs:
        missing = ~complete(shares)[:, None, None]
        filled = np.where(missing, truth.fallback, shares)
        said.append(stratify(filled, truth.strata)[..., truth.intended].ravel())
        true.append(stratify(truth.shares, truth.strata)[..., truth.intended].ravel())
    return binned(np.concatenate(said), np.concatenate(true))


def binned(forecasts: Shares, truths: Shares) -> tuple[Bin, ...]:
    """From forecasts and truths `[N]` between 0 and 1; bins without forecasts are left out."""
    places = np.clip((forecasts * BINS).astype(int), 0, BINS - 1)
    counts, sums, trues = (np.bincount(places, w, BINS) for w in (None, forecasts, truths))
    return tuple(
        Bin(float(sums[b] / counts[b]), float(trues[b] / counts[b]), int(counts[b])) for b in np.flatnonzero(counts)
    )


def calibration_error(bins: Iterable[Bin]) -> float:
    """Expected calibration error: the mean distance of forecast from truth over bins, weighted by their cases."""
    found = tuple(bins)
    cases = sum(b.cases for b in found)
    return sum(abs(b.forecast - b.truth) * b.cases for b in found) / cases
