"""What the tests of exports share: runs of one, and what a file holds."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

from pyarrow import dataset

from gateway import export
from gateway.feedback import Feedback
from gateway.listing import Listing
from tests.log_fixtures import a_client, a_record, deliver

FORMATS = ("parquet", "csv", "jsonl")


def log(url: str, records: list[dict[str, Any]], *, max_len: int = 10**6) -> None:
    """Deliver the records, as a writer of its own does."""

    async def write() -> None:
        async with a_client(url) as redis:
            await deliver(redis, records, max_len=max_len)

    asyncio.run(write())


def judge(url: str, decision_id: str, score: float) -> None:
    """Give feedback."""

    async def give() -> None:
        async with a_client(url) as redis:
            await Feedback(redis, ttl_s=60).give(decision_id, score, "so so", key_id="alice")

    asyncio.run(give())


def exported(
    url: str,
    out: Path,
    format: str | None = None,
    *,
    is_incremental: bool = False,
    commit_rows: int = export.COMMIT_ROWS,
    **filters: str,
) -> export.Exported:
    """One run of the command, without its process."""

    async def run() -> export.Exported:
        async with a_client(url) as redis:
            order = export.order(str(out), format, filters, is_incremental=is_incremental)
            feedback = Feedback(redis, ttl_s=60)
            return await export.run(order, Listing(redis), feedback, commit_rows=commit_rows)

    return asyncio.run(run())


def some(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [a_record(**changes) for _ in range(count)]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


def rows(out: Path, format: str | None = None) -> list[dict[str, Any]]:
    """As they are in the file or the folder of parts."""
    match format or out.suffix[1:]:
        case "parquet":
            table = dataset.dataset(out, format="parquet").to_table()
            return table.to_pylist(maps_as_pydicts="strict")  # type: ignore[no-any-return]
        case "csv":
            with out.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file, strict=True))
        case _:
            return [json.loads(line) for line in out.read_text("utf-8").splitlines()]
