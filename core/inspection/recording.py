"""The equations of a cell as the page computes them: every intermediate result, under its name.

The equations are written once, in ``core.models.scratch``. Here they are not written again but watched: a mode of
torch sees each operation of the page and names its result by the expression, ``X_t W_xh + H_{t-1} W_hh``. Where the
page's docstring gives the expression a name, ``R_t = sigmoid(...)``, the result has that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_EQUATION = re.compile(r"^\s*([A-Z]~?_t) = (.+?)(?::.*)?$", re.MULTILINE)
_FUNCTIONS = ("tanh", "relu", "sigmoid")


def equations(function: Callable[..., Any], activation: str = "tanh") -> dict[str, str]:
    """The equations in the docstring of a function of the page: right-hand side -> left-hand side."""
    found = _EQUATION.findall(function.__doc__ or "")
    return {right.replace("tanh", activation) if activation != "tanh" else right: left for left, right in found}


class Recording(TorchFunctionMode):
    """Records the operations of a function of the page.

    Attributes:
        stages: (name, tensor) of each result, in the order of the computation.
    """

    def __init__(self, names: Mapping[str, Tensor], named: Mapping[str, str], other: str = "") -> None:
        """
        Args:
            names: the inputs by their names.
            named: from ``equations``.
            other: the name of tensors that are none of these, such as the slices of an input.
        """
        super().__init__()
        self.stages: list[tuple[str, Tensor]] = []
        # the tensors are kept with their names: a freed one's identity may come back
        self._names = {id(tensor): (name, tensor) for name, tensor in names.items()}
        self._named, self._other = named, other

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        expression = self._expression(getattr(func, "__name__", "").strip("_"), args)
        if expression:
            name = self._named.get(expression, expression)
            self._names[id(result)] = name, result
            self.stages.append((name, result))
        return result

    def _expression(self, operation: str, args: tuple[Any, ...]) -> str:
        if operation in _FUNCTIONS:
            return f"{operation}({self._name(args[0])})"
        if len(args) != 2:
            return ""
        left, right = map(self._name, args)
        if operation == "rsub":
            operation, left, right = "sub", right, left
        if operation == "matmul":
            return f"{_grouped(left, ' ')} {_grouped(right, ' ')}"
        if operation == "mul":
            return f"{_grouped(left)} * {_grouped(right)}"
        return {"add": f"{left} + {right}", "sub": f"{left} - {_grouped(right)}"}.get(operation, "")

    def _name(self, value: Any) -> str:
        return self._names.get(id(value), (self._other, value))[0] if isinstance(value, Tensor) else f"{value}"


def _grouped(expression: str, weaker: str = " [+-] ") -> str:
    """The expression in parentheses if it is a sum (or anything that binds less than ``weaker``)."""
    outside = re.sub(r"\([^()]*\)", "()", expression)
    return f"({expression})" if re.search(weaker, outside) else expression
