"""The table of cells: every room that has facts of its own about a cell has them for each cell of the table."""

from __future__ import annotations

from core.models.recurrence import eager
from core.models.recurrence.cpu import compiled
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
    assert set(compiled.NUMBERS) <= derived
    assert MODULES.keys() == ORDER.keys() == {cell.name for cell in CELLS.values() if cell.layer}
    for name, order in ORDER.items():
        assert sorted(order) == list(range(len(CELLS[name].gates))), name
        assert MODULES[name](2, 3).mode in KERNELS, name
    for cell in CELLS.values():
        assert cell.name in derived or not cell.layer, "a torch.nn layer looks one-hot inputs up by a derived scan"
        assert {f"W_x{gate}" for gate in cell.gates} >= {cell.recurrent_matrix.replace("W_h", "W_x")}
