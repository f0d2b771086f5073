"""Time-ordered ids (UUIDv7, RFC 9562): the log sorts by them, and they tell when."""

import os
import time


def new_id() -> str:
    """A UUIDv7: 48 bits of milliseconds, then random bits."""
    time_part = f"{time.time_ns() // 1_000_000:012x}"
    random = os.urandom(10).hex()
    variant = "89ab"[int(random[3], 16) & 3]  # of RFC 9562: the two bits are 10
    return f"{time_part[:8]}-{time_part[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"
