"""A process that waits for a run has loaded what the first optimiser needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys, torch
from core.settings.run_config import RunConfig
from core.training.optimisation import build_optimiser, load_optimisers
load_optimisers()
before = set(sys.modules)
for name in ("sgd", "adam"):
    build_optimiser(RunConfig(optimiser=name), [torch.nn.Parameter(torch.zeros(3))])
print(len(set(sys.modules) - before))
import core.engine.session
print([name for name in sys.modules if name in ("core.training.distributed", "core.engine.workers")])
print([name for name in sys.modules if name.startswith("torch.distributed.elastic")])
"""


def test_the_first_training_imports_no_more_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    new, of_workers, elastic = done.stdout.splitlines()
    assert int(new) < 10
    assert of_workers == elastic == "[]", "what several workers need is imported for one"
