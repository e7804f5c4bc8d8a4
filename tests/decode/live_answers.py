"""Answers of live models beside those of `predict`."""

from numerics import assert_bitwise_equal


def records(columns):
    """Columns as a list of one dict a row."""
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def same(ours, theirs):
    """Fail unless two answers have the same columns, floats to the bit."""
    assert list(ours) == list(theirs)
    for name in ours:
        if ours[name].dtype.kind == "f":
            assert_bitwise_equal(ours[name], theirs[name])
        else:
            assert ours[name].tolist() == theirs[name].tolist()
