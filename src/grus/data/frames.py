"""Answers in the user's own kind of frame."""

from pathlib import Path
from typing import Any

from grus.preprocess.columns import Columns


def like(columns: Columns, example: Any) -> Any:
    """Columns as the kind of table that ``example`` is.

    A pandas, polars or pyarrow table gives the same kind back; a path gives a pyarrow table; columns, records and
    anything else give columns.
    """
    import narwhals as nw

    if isinstance(example, str | Path):
        import pyarrow as pa

        return pa.table({name: pa.array(values) for name, values in columns.items()})
    try:
        backend = nw.get_native_namespace(example)
    except TypeError:
        return columns
    return nw.from_dict(columns, backend=backend.__name__).to_native()
