"""The recurrent cells: what every room has to know of one. A new cell is a row here and a function in ``scratch.py``.

Its equations are in ``core.models.scratch``. What one room alone knows of a cell (its derivatives, its C, its place in
``torch.nn``) is a table there, with the cell's name as key. No torch in this module: the screen imports it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A recurrent unit: the names in its equations, how its parameters lie in memory, and what computes it.

    The matrices of all gates lie side by side in one tensor, so that one product serves them all. ``gates`` is their
    order and makes the tensor's name: ``W_xzrh`` is ``[W_xz W_xr W_xh]``, and for the RNN it is ``W_xh`` itself.

    Attributes:
        name: as the setting ``cell`` has it.
        gates: the letters of the gates, in storage order; the last one is the candidate's.
        states: the tensors that go from step to step.
        sigmoids, candidates: the other left-hand sides of its equations, those between 0 and 1 and those by tanh.
        extra: names of further bias vectors, each (hidden,).
        has_activation: whether the setting ``activation`` applies.
        layer: the name of the ``torch.nn`` layer that computes it; empty if there is none.
        is_derived: whether ``recurrence/`` computes it; else only ``cpu_path=textbook`` can.
    """

    name: str
    gates: str
    states: tuple[str, ...] = ("H",)
    sigmoids: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    has_activation: bool = False
    layer: str = ""
    is_derived: bool = False

    @property
    def num_states(self) -> int:
        """Tensors in the state: 1, or 2 for (H, C)."""
        return len(self.states)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The left-hand sides of its equations, states first."""
        return self.states + self.sigmoids + self.candidates

    @property
    def recurrent_matrix(self) -> str:
        """The name of the matrix from state to candidate: what repeats at every step."""
        return f"W_h{self.gates[-1]}"


CELLS = {
    cell.name: cell
    for cell in (
        Cell("rnn", "h", has_activation=True, layer="RNN", is_derived=True),
        Cell("gru", "zrh", sigmoids=("R", "Z"), candidates=("H~",), extra=("b_hn",), layer="GRU", is_derived=True),
        # o first: neighbours are o, i, f, the sigmoid gates, and i, f, c, whose gradients come from that of the memory
        Cell(
            "lstm", "oifc", states=("H", "C"), sigmoids=("I", "F", "O"), candidates=("C~",), layer="LSTM",
            is_derived=True,
        ),
    )
}  # fmt: skip
