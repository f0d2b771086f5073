"""The spool: decisions that Redis does not have yet."""

from gateway import spool_files
from gateway.doctor.finding import Finding, ok, warning
from gateway.doctor.installation import Installation
from gateway.spool import MAX_BYTES


def undelivered(found: Installation) -> list[Finding]:
    """How many wait, and how full the spool is."""
    writers = spool_files.writers(found.settings.data_dir / "spool")
    positions = found.redis.positions
    waiting = sum(
        event.kind == "end"
        for folder in writers
        for event in spool_files.events(folder, after=int(positions.get(folder.name, 0)))
    )
    held = sum(map(spool_files.bytes_of, writers))
    if held > MAX_BYTES / 2:
        words = (
            f"{waiting:,} decisions wait, and {held / 2**20:,.0f} MiB are more than half of what"
        )
        words += " it may hold; full, it refuses requests"
        return [warning("spool", words, "mend Redis and let a gateway run: it delivers them")]
    if waiting:
        at_most = "at most " if found.redis.failure else ""  # Redis knows what it has
        words = f"{at_most}{waiting:,} decision{'s wait' if waiting > 1 else ' waits'} for Redis"
        remedy = "a gateway that runs here delivers them: start one, or wait some seconds"
        return [warning("spool", words, remedy)]
    return [ok("spool", "nothing waits")]
