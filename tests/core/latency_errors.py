"""Errors of latency forecasts for tests: latencies within a known factor of their forecast."""

from __future__ import annotations

import numpy as np


class LogUniform:
    """log(measured / forecast) is uniform in [-log(spread), log(spread)] for every candidate and kind."""

    def __init__(self, spread=2.0):
        self.reach = np.log(spread)

    def probabilities(self, kinds, predicted_s, limits_s):
        limits = np.maximum(limits_s, 1e-300)[:, None]
        ratio = np.log(limits / np.maximum(predicted_s, 1e-300))
        return np.clip((ratio + self.reach) / (2 * self.reach), 0.0, 1.0)

    def longest(self, kinds, limits_s, share):
        return np.asarray(limits_s)[:, None] / np.exp(self.reach * (2 * share - 1))

    def attainable(self, kind, predicted_s, share):
        return predicted_s * np.exp(self.reach * (2 * share - 1))
