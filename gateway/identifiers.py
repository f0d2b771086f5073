"""Time-ordered ids (UUIDv7, RFC 9562): the log sorts by them, and they tell when."""

import secrets
import time
import uuid


def new_id() -> str:
    """A UUIDv7: 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
    return str(uuid.UUID(int=value))
