"""What all tests share: threads that wait without spinning, so that two test processes do not slow each other down."""

import os

# Read by libgomp when torch is loaded, hence before any test imports it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
