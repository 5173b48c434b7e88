"""Reference accountants for the Poisson-sampled Gaussian, written from the definitions.

P is the output with the row, ``(1 − q) N(0, σ²) + q N(1, σ²)``, Q the output without it, ``N(0, σ²)``. Their
ratio at x is ``exp(loss(x))``, ``loss(x) = log(1 − q + q exp((2x − 1) / 2σ²))``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, log_ndtr, logsumexp, ndtr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchprop.privacy import SamplingRun

ORDERS = np.concatenate([np.arange(1.1, 11, 0.1), np.arange(11, 64), [128, 256, 512, 1024]])
WHOLE = np.concatenate([np.arange(2, 64), [128, 256]])


def gaussian_epsilon(mu: float, delta: float) -> float:
    """ε of one Gaussian mechanism with noise 1 / mu, exactly: Balle and Wang, arXiv 1805.06530, theorem 8.

    T steps without sampling and with noise σ are one mechanism with ``mu = √T / σ``.
    """

    def too_much(epsilon: float) -> float:
        outside = math.exp(epsilon + log_ndtr(-epsilon / mu - mu / 2))
        return float(ndtr(mu / 2 - epsilon / mu)) - outside - delta

    return 0.0 if too_much(0.0) <= 0 else float(brentq(too_much, 0.0, 1e9, xtol=1e-13, rtol=1e-14))


def sampled_gaussian_divergence(run: SamplingRun) -> Any:
    """Rényi divergence of one step at the integer orders: arXiv 1908.10530, section 3.3.

    ``D_α = log Σ_k C(α, k) (1 − q)^(α−k) q^k exp((k² − k) / 2σ²) / (α − 1)``
    """
    q, sigma = run.sampling_rate, run.noise_multiplier

    def at(order: int) -> float:
        k = np.arange(order + 1)
        choices = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        terms = choices + (order - k) * math.log1p(-q) + k * math.log(q) + (k * k - k) / (2 * sigma**2)
        return float(logsumexp(terms)) / (order - 1)

    return np.array([at(int(order)) for order in WHOLE])


def divergence_by_quadrature(run: SamplingRun, orders: Any = ORDERS) -> Any:
    """The same divergence at any orders: ``log ∫ Q (P/Q)^α dx / (α − 1)`` by the trapezoid rule.

    The rule converges faster than any power of the step for what falls off like a Gaussian on both sides.
    """
    sigma = run.noise_multiplier

    def at(order: float) -> float:
        x = np.arange(-14 * sigma, order + 14 * sigma, sigma / 40)
        density = -0.5 * (x / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
        return float(logsumexp(density + order * loss(run, x)) + math.log(sigma / 40)) / (order - 1)

    return np.array([at(order) for order in orders])


def renyi_epsilon(divergence: Any, orders: Any, delta: float) -> float:
    """ε from Rényi divergences: Canonne, Kamath and Steinke, arXiv 2004.00010, proposition 12."""
    bounds = divergence + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(bounds.min()))


def loss(run: SamplingRun, x: Any) -> Any:
    """log P/Q at x."""
    q, sigma = run.sampling_rate, run.noise_multiplier
    if q == 1:
        return (2 * x - 1) / (2 * sigma**2)
    return np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * sigma**2))


def where(run: SamplingRun, level: Any) -> Any:
    """The x at which the loss is ``level``; −∞ below all losses."""
    q, sigma = run.sampling_rate, run.noise_multiplier
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if q == 1:
            return sigma**2 * level + 0.5
        odds = level + np.log(-np.expm1(math.log1p(-q) - level)) - math.log(q)
    return np.where(level > math.log1p(-q), sigma**2 * np.nan_to_num(odds, nan=-np.inf) + 0.5, -np.inf)


def numerical_epsilon(runs: Sequence[SamplingRun], delta: float, *, reach: float, bins: int = 2**18) -> float:
    """ε from the distribution of the total loss: the larger of "a row less" and "a row more".

    Losses are rounded to the nearest of ``bins`` points in ±reach, their mean is put right afterwards
    (Gopi, Lee and Wutschitz, arXiv 2106.02848), and they are convolved by FFT (Koskela et al., arXiv
    1906.03049). An estimate with an error of about ``√steps · 2 reach / bins``, not a bound.
    """
    return max(_epsilon_one_direction(runs, delta, reach, bins, with_row) for with_row in (True, False))


def _epsilon_one_direction(
    runs: Sequence[SamplingRun], delta: float, reach: float, bins: int, with_row: bool
) -> float:
    width = 2 * reach / bins
    levels = (np.arange(bins) - bins // 2) * width
    transform, shift = np.ones(bins // 2 + 1, complex), 0.0
    for run in runs:
        masses = _masses(run, levels, width, with_row)
        shift += run.steps * (_mean(run, with_row) - float(masses @ levels))
        transform = transform * np.fft.rfft(np.fft.ifftshift(masses)) ** run.steps
    total = np.fft.fftshift(np.fft.irfft(transform, bins))
    final = levels + shift

    def log_ratio(epsilon: float) -> float:
        """log(δ(ε) / δ), whose root takes a third of the steps that δ(ε) − δ takes."""
        above = slice(np.searchsorted(final, epsilon, side="right"), None)
        spent = float(total[above] @ -np.expm1(epsilon - final[above]))
        return math.log(max(spent, 1e-300) / delta)

    return 0.0 if log_ratio(0.0) <= 0 else float(brentq(log_ratio, 0.0, reach, xtol=1e-9))


def _masses(run: SamplingRun, levels: Any, width: float, with_row: bool) -> Any:
    """The probability of a loss within half a width of each level; of −loss if the row is absent."""
    edges = np.append(levels - width / 2, levels[-1] + width / 2)
    if with_row:
        x = where(run, edges)
        q, sigma = run.sampling_rate, run.noise_multiplier
        return np.diff((1 - q) * ndtr(x / sigma) + q * ndtr((x - 1) / sigma))
    return np.diff(ndtr(where(run, -edges[::-1]) / run.noise_multiplier))[::-1]


def _mean(run: SamplingRun, with_row: bool) -> float:
    sigma = run.noise_multiplier
    x = np.arange(-14 * sigma, 1 + 14 * sigma, sigma / 200)
    density = np.exp(-0.5 * (x / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    ratio = np.exp(loss(run, x)) if with_row else -1.0
    return float((density * ratio * loss(run, x)).sum() * sigma / 200)
