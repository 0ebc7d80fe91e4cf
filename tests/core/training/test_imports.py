"""An engine that trains does not import what training does not need: the start of each, and its memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCREEN = ("textual", "rich", "plotext", "tui")
UNNEEDED = ("torch._dynamo", "sympy", "torch.distributed.elastic", "core.training.distributed", "core.engine.workers")
CODE = f"""
import sys
import core.engine.engine
from core import RunConfig, Trainer
for optimiser in ("sgd", "adam", "rmsprop"):
    config = RunConfig(num_hiddens=4, max_tokens=300, num_epochs=1, batch_size=2, num_steps=4, optimiser=optimiser)
    trainer = Trainer(config)
    for _ in trainer:
        pass
    trainer.checkpoint()
print([name for name in sys.modules if name.startswith({UNNEEDED}) or name.split(".")[0] in {SCREEN}])
"""


def test_an_engine_imports_neither_torchs_compiler_nor_the_screen_nor_what_several_workers_need() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
