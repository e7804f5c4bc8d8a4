"""Searches as they might have gone, for the tests of what is said and drawn of them."""

from grus.training.search import Parameters, Study, Trial


def parameters(**changed: object) -> Parameters:
    """What is searched, as it is by default."""
    return {"learning_rate": 0.001, "batch_size": 64, "layers": 1, "pool": "max"} | changed  # type: ignore[return-value]


def a_study() -> Study:
    """Five trials, the fourth the best; one pruned, one diverged; and one that was running when it ended."""
    space = {"learning_rate": "0.0001 to 0.01", "batch_size": "16, 64", "layers": "1, 2", "pool": "max, mean"}
    return Study(
        space,
        [
            Trial(1, parameters(), "finished", [0.9, 0.8, 0.85], 10.0),
            Trial(2, parameters(learning_rate=0.00525, batch_size=16), "pruned", [1.5, 1.2], 6.5),
            Trial(3, parameters(learning_rate=0.01), "diverged", [], 0.5),
            Trial(4, parameters(learning_rate=0.002, pool="mean", layers=2), "finished", [0.6], 53.0),
            Trial(5, parameters(learning_rate=0.0001), "finished", [0.95], 20.0),
            Trial(6, parameters(learning_rate=0.0003), "running"),
        ],
    )
