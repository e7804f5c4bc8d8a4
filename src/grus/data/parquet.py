"""Parquet files, and folders of them, in memory or batch by batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grus.data.arrow import table_columns, zone_notes
from grus.data.spool import Spool
from grus.errors import DataError
from grus.preprocess.columns import Columns, Source, missing_column

if TYPE_CHECKING:
    import pyarrow.dataset as ds

SUFFIXES = (".parquet", ".pq")
EXPANSION = 4
"""Bytes that reading and training take in memory for one byte of columns: Arrow's, ours, the panel's, the features."""


def read_parquet(path: Path, names: Sequence[str] | None, memory_limit: int) -> tuple[Columns, Source]:
    """Read a Parquet file, or all of a folder in the order of their names; ``key=value`` folders are columns.

    Args:
        path: file or folder.
        names: the columns to read, None for all.
        memory_limit: bytes; a table that would take more is read batch by batch onto disk.
    """
    import pyarrow as pa

    files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: expected Parquet files in the folder, got none")
    dataset, rows, size = _dataset(path, files)
    for name in names or ():
        if name not in dataset.schema.names:
            raise missing_column(name, dataset.schema.names, path.name)
    if not sum(rows):
        raise DataError(f"{path.name}: expected rows, got a table without any")
    notes = zone_notes(dataset.schema)
    source = Source(path.name, _locator(files, rows) if path.is_dir() else None, notes)
    keep = dataset.schema.names if names is None else list(names)
    try:
        if max(size, 8 * sum(rows) * len(keep)) * EXPANSION <= memory_limit:
            return table_columns(dataset.to_table(columns=keep), source), source
        with Spool(path.name) as spool:
            # Read ahead little: what is on its way would otherwise be several row groups of every column.
            spool.extend(
                dataset.to_batches(columns=keep, batch_size=1 << 16, batch_readahead=1, fragment_readahead=0)
            )
            columns = spool.finish()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        must = f"{path}: expected Parquet files of one table"
        raise DataError(f"{must}, got ones that do not fit ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: expected Parquet files that can be read, got {error}") from error
    return columns, Source(path.name, source.locate, (*notes, *spool.notes))


def _dataset(path: Path, files: list[Path]) -> "tuple[ds.Dataset, list[int], int]":
    """The files as one dataset of a common schema, the rows of each, and the bytes of all when unpacked."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    rows, size, schemas = [], 0, []
    for file in files:
        try:
            meta = pq.read_metadata(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"{file}: expected a Parquet file, got one that cannot be read ({error})"
            ) from error
        rows.append(meta.num_rows)
        size += sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        schemas.append(meta.schema.to_arrow_schema())
    base = str(path) if path.is_dir() else None
    dataset = ds.dataset(
        [str(f) for f in files],
        format="parquet",
        partitioning="hive" if base else None,
        partition_base_dir=base,
    )
    try:
        common = pa.unify_schemas([*schemas, dataset.schema], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"{path}: expected Parquet files of one table, got columns that differ ({error})"
        ) from error
    return dataset.replace_schema(common), rows, size


def _locator(files: list[Path], rows: list[int]) -> Callable[[int], str]:
    ends = np.cumsum(rows)

    def locate(index: int) -> str:
        i = int(np.searchsorted(ends, index, side="right"))
        return f"row {index - int(ends[i]) + rows[i]} (counting from 0) of {files[i].name}"

    return locate
