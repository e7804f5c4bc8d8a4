"""The state of a running graph as a plain value: what each node must remember between chunks."""

from dataclasses import dataclass

import numpy as np

from grus.errors import UsageError

NodeState = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class State:
    """One entry per node that remembers; every array has the batch as its first axis. Never hidden on a model.

    ``state[i]`` is the state of some of the rows (an index, slice or array of indices), and `State.join` puts
    states of several rows together again.
    """

    nodes: dict[str, NodeState]

    def __getitem__(self, rows: int | slice | np.ndarray) -> "State":
        index = np.array([rows]) if isinstance(rows, int | np.integer) else rows
        return State({name: tuple(a[index].copy() for a in arrays) for name, arrays in self.nodes.items()})

    @property
    def batch(self) -> int:
        """Number of rows; 0 for a graph that remembers nothing."""
        return next((len(array) for arrays in self.nodes.values() for array in arrays), 0)

    @staticmethod
    def join(states: "list[State]") -> "State":
        """Put the rows of several states of one graph together, in order."""
        if not states or any(state.nodes.keys() != states[0].nodes.keys() for state in states):
            raise UsageError("State.join: states must be of one graph, and at least one")
        return State(
            {
                name: tuple(
                    np.concatenate(parts)
                    for parts in zip(*(state.nodes[name] for state in states), strict=True)
                )
                for name in states[0].nodes
            }
        )
