"""The table of cells: every room that has facts of its own about a cell has them for each cell of the table."""

from __future__ import annotations

import pytest
import torch

from core.models.implementations import build_model
from core.models.recurrence import eager
from core.models.recurrence.cpu import compiled
from core.models.recurrence.triton import plan
from core.models.scratch import STEPS
from core.models.torch_nn import KERNELS, MODULES, ORDER
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig


def test_every_room_has_its_facts_about_every_cell() -> None:
    derived = {cell.name for cell in CELLS.values() if cell.is_derived}
    assert STEPS.keys() == CELLS.keys()
    assert RunConfig.setting("cell").choices == tuple(CELLS)
    for table in (eager.SCANS, eager.NEXT_STATES):
        assert set(table) == derived
    assert set(compiled.NUMBERS) | set(plan.KERNELS) <= derived  # others run step by step
    assert MODULES.keys() == ORDER.keys() == {cell.name for cell in CELLS.values() if cell.layer}
    for name, order in ORDER.items():
        assert sorted(order) == list(range(len(CELLS[name].gates))), name
        assert MODULES[name](2, 3).mode in KERNELS, name
    for cell in CELLS.values():
        assert cell.name in derived or not cell.layer, "a torch.nn layer looks one-hot inputs up by a derived scan"


def test_the_textbook_path_writes_by_the_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    for cell in CELLS:
        config = RunConfig(cell=cell, num_hiddens=5, num_layers=2, dropout=0.5, cpu_path="textbook")
        model, plain = build_model(config, 7), build_model(config.replace(cpu_path="plain"), 7)
        plain.load_state_dict(model.state_dict())
        ids, begin = torch.tensor([3, 0, 6]), tuple(torch.randn_like(part) for part in model.begin_state(3))
        wanted, wanted_state = plain.step(ids, begin)
        with monkeypatch.context() as patch:
            patch.delitem(eager.NEXT_STATES, cell)
            found, state = model.step(ids, begin)
        assert model.training and not found.requires_grad
        torch.testing.assert_close((found, *state), (wanted, *wanted_state))
