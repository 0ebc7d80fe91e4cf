"""A scale that the product does not have: all that a new one needs."""

from __future__ import annotations

import math

import numpy as np

from core.scales import Scale, linear_ends, linear_ticks

SQUARE_ROOT = Scale(
    "sqrt", "square-root",
    forward=lambda values: np.sqrt(np.maximum(values, 0)),
    inverse=lambda places: places**2,
    around=lambda value: (0.0, 2 * value or 1.0),
    ends=linear_ends,
    ticks=lambda low, high, most, whole: [
        place**2 for place in linear_ticks(math.sqrt(low), math.sqrt(high), most, whole)
    ],
    allows=lambda values: values >= 0, domain="of at least 0",
)  # fmt: skip
