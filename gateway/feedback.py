"""What callers think of an answer: one score for each decision, joined to it wherever it is read.

Written straight to Redis and refused while that is away: a caller can send it again, which an
answer's cost can't.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from redis.asyncio import Redis

from gateway import redis_keys
from gateway.decision import timestamp
from gateway.errors import InvalidRequest
from gateway.json_body import shown
from gateway.ledger import redis_answer

MAX_COMMENT_CHARS: Final = 2000
_FIELDS: Final = ("decision_id", "score", "comment")


def parse(body: Mapping[str, object]) -> tuple[str, float, str | None]:
    """(decision_id, score in [0, 1], comment). Raises InvalidRequest."""
    for name in body:
        if name not in _FIELDS:
            raise InvalidRequest(
                f"unknown field '{name[:60]}': known are {', '.join(_FIELDS)}", param=name[:60]
            )
    decision_id, score, comment = (body.get(name) for name in _FIELDS)
    if not isinstance(decision_id, str) or not decision_id:
        raise InvalidRequest("'decision_id' must be a non-empty string", param="decision_id")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InvalidRequest(
            f"'score' must be a number from 0 to 1, got {shown(score)}", param="score"
        )
    if comment is not None and not (isinstance(comment, str) and len(comment) <= MAX_COMMENT_CHARS):
        raise InvalidRequest(
            f"'comment' must be a string of at most {MAX_COMMENT_CHARS} characters", param="comment"
        )
    return decision_id, float(score), comment


class Feedback:
    """Reads and writes through one client. Methods raise LogUnavailable while Redis is away."""

    def __init__(self, redis: Redis, *, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def give(
        self, decision_id: str, score: float, comment: str | None, *, key_id: str | None
    ) -> dict[str, Any]:
        """Keep it, in place of what was given before; returns what is kept."""
        entry = {
            "score": score,
            "comment": comment,
            "key_id": key_id,
            "ts": timestamp(datetime.now(UTC)),
        }
        text = json.dumps(entry, ensure_ascii=False)
        await redis_answer(self._redis.set(redis_keys.feedback(decision_id), text, ex=self._ttl_s))
        return entry

    async def join(self, records: Iterable[dict[str, Any]]) -> None:
        """Add `feedback` to the records that have some."""
        found = {str(record.get("id")): record for record in records}
        if not found:
            return
        keys = [redis_keys.feedback(decision_id) for decision_id in found]
        texts = await redis_answer(self._redis.mget(keys))
        for record, text in zip(found.values(), texts, strict=True):
            if text is not None:
                record["feedback"] = json.loads(text)
