"""What is exported, in the hands of the libraries that people read it with.

Each is imported where it reads: every process of the suite imports all test files, and one runs these tests.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


def table_of(csv: str | Path) -> Any:
    """The data frame that pandas reads from a file or from its text."""
    import pandas as pd

    return pd.read_csv(io.StringIO(csv) if isinstance(csv, str) else csv)


def event_log(folder: Path) -> Any:
    """All scalars that TensorBoard reads in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, read by matplotlib."""
    import matplotlib.image

    height, width, _ = matplotlib.image.imread(io.BytesIO(png), format="png").shape
    return width, height
