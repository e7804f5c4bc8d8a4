"""Hidden sizes that make a comparison fair: equal numbers of weights, or equal width."""

import math
from collections.abc import Callable, Mapping, Sequence

from grus.errors import UsageError
from grus.spec import Graph, weight_shapes

#: The widest layer that is looked for.
WIDEST = 1 << 16


def count_parameters(graph: Graph) -> int:
    """How many numbers a network learns: those of every tensor that its spec asks for."""
    return sum(math.prod(shape) for shape in weight_shapes(graph).values())


def width_for(parameters: int, graph_of: Callable[[int], Graph], cell: str) -> int:
    """The width whose network has the number of weights closest to ``parameters``, the narrower of two as close.

    Args:
        parameters: wanted, of the whole network.
        graph_of: the network of a width; its number of weights rises with the width.
        cell: its name, for messages.

    Raises:
        UsageError: one unit takes more weights than that.
    """
    least = count_parameters(graph_of(1))
    if parameters < least:
        raise UsageError(
            f"parameters must be at least {least:,}, those of a network with one unit of {cell}, got {parameters:,}"
        )
    low, high = 1, 2
    while high < WIDEST and count_parameters(graph_of(high)) <= parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if count_parameters(graph_of(middle)) <= parameters:
            low = middle
        else:
            high = middle
    below, above = count_parameters(graph_of(low)), count_parameters(graph_of(high))
    return low if parameters - below <= above - parameters else high


def hidden_sizes(
    cells: Sequence[str],
    graph: Callable[[str, int], Graph],
    *,
    equal: str,
    hidden: int,
    parameters: int | None,
) -> Mapping[str, int]:
    """The width of each cell.

    Args:
        cells: their names.
        graph: the network of a cell and a width.
        equal: ``parameters`` or ``width``.
        hidden: the width of all, or of the GRU whose number of weights the others get.
        parameters: that number itself, in place of the GRU's; None: the GRU's.
    """
    if equal == "width":
        return dict.fromkeys(cells, hidden)
    budget = count_parameters(graph("gru", hidden)) if parameters is None else parameters
    found = {cell: width_for(budget, lambda width, cell=cell: graph(cell, width), cell) for cell in cells}
    return found | ({"gru": hidden} if parameters is None and "gru" in found else {})
