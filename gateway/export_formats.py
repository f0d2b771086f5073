"""Decision records as the bytes of a file: JSON lines, CSV, Parquet.

Not where the bytes go or when they are safe there: export_files.py and export_increments.py.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final, Protocol

from gateway import spool_files
from gateway.errors import GatewayError
from gateway.export_columns import COLUMNS, KINDS, NAMES, cells, row

FORMATS: Final = ("parquet", "csv", "jsonl")
ROW_GROUP: Final = 10_000  # rows of Parquet that are held in memory, some 15 MB

Records = Sequence[Mapping[str, Any]]


class Encoder(Protocol):
    """Writes to a file that stays the caller's."""

    def write(self, records: Records) -> None: ...

    def close(self) -> None:
        """Write what the format still has to say."""


def encoder(format: str, file: BinaryIO, *, is_begun: bool = False) -> Encoder:
    """For one of FORMATS; `is_begun`: the file has rows already."""
    match format:
        case "parquet":
            return _Parquet(file)
        case "csv":
            return _Csv(file, has_header=is_begun)
        case _:
            return _JsonLines(file)


def require(format: str) -> None:
    """Raises GatewayError where the package that writes the format is not installed."""
    if format == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise GatewayError(
                "Parquet needs the package pyarrow (the extra 'export'): pip install pyarrow;"
                " csv and jsonl need nothing"
            ) from None


def fingerprint(format: str) -> str:
    """Of the columns: files of one export must agree in it. JSON lines have none."""
    if format == "jsonl":
        return ""
    text = " ".join(f"{column.name}:{KINDS[column.kind][0]}" for column in COLUMNS)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parquet_schema() -> Any:
    """The pyarrow schema of COLUMNS."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "count": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
        "money": pa.decimal128(38, 12),
        "texts": pa.list_(pa.string()),
        "numbers": pa.map_(pa.string(), pa.float64()),
        "json": pa.string(),
    }
    return pa.schema([(column.name, types[column.kind]) for column in COLUMNS])


class _JsonLines:
    """The records of `GET /v1/decisions`, one a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, records: Records) -> None:
        text = "".join(f"{spool_files.to_json(record)}\n" for record in records)
        self._file.write(text.encode("utf-8", "replace"))

    def close(self) -> None:
        pass


class _Csv:
    """RFC 4180, UTF-8, one header."""

    def __init__(self, file: BinaryIO, *, has_header: bool) -> None:
        self._file = file
        if not has_header:
            self._lines([list(NAMES)])

    def write(self, records: Records) -> None:
        self._lines([cells(row(record)) for record in records])

    def close(self) -> None:
        pass

    def _lines(self, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode())


class _Parquet:
    """Row groups of ROW_GROUP rows."""

    def __init__(self, file: BinaryIO) -> None:
        from pyarrow import parquet

        self._schema = parquet_schema()
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0  # rows

    def write(self, records: Records) -> None:
        import pyarrow as pa

        if not records:
            return
        arrays = []
        columns = zip(*map(row, records), strict=True)
        for field, column, values in zip(self._schema, COLUMNS, columns, strict=True):
            if column.kind == "numbers":
                pairs = [None if each is None else list(each.items()) for each in values]
                arrays.append(pa.array(pairs, field.type))
            else:
                arrays.append(pa.array(values, field.type))
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._waiting += len(records)
        if self._waiting >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches))
            self._batches, self._waiting = [], 0
