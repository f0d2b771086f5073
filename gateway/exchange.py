"""One request on its way through providers: attempts, fallback, and the settlement at the end.

The record is opened before the first provider is called and closed exactly once, whatever happens:
an answer, an error, a broken stream, a client that went away.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypeVar

from gateway import costing, decision, demands, routing, spool_files
from gateway.decision import Attempt, Cost, NoEligibleProfile, Outcome, Status, Usage
from gateway.decision_log import DecisionLog
from gateway.errors import UpstreamError
from gateway.intake import Routed
from gateway.profile import Profile
from gateway.telemetry import Telemetry
from gateway.upstream import Answer, Batch, Call, Upstream
from gateway.wires import Meter

T = TypeVar("T")

_STARTED: Final = '{"status":"started"}'


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A stream whose first event has arrived (None: it was empty)."""

    first: Batch | None
    rest: AsyncGenerator[Batch, None]


class Exchange:
    """One request, from decision to settled record. Raises what the last provider raised."""

    def __init__(
        self, routed: Routed, upstream: Upstream, log: DecisionLog, telemetry: Telemetry
    ) -> None:
        self.routed = routed
        self.serving: Profile = routed.profiles[routed.decision.chosen]
        self.record: dict[str, object] = decision.record(routed.decision, routed.circumstances)
        self.cost: Cost | None = None
        self.dropped: tuple[str, ...] = ()  # parameters that the serving provider can't take
        self._upstream = upstream
        self._log = log
        self._telemetry = telemetry
        self._attempts: list[Attempt] = []
        self._served_by: Profile | None = None
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._answered_as: str | None = None  # the provider's name of the model that answered
        self._meter: Meter | None = None
        self._ttft_ms: float | None = None
        self._may_fall_back = routed.request.is_routed
        self._finished = False
        self._started = time.perf_counter()
        self._begun = spool_files.to_json(self.record)
        # Raises LogUnavailable: a request that can't be recorded is not sent to anyone.
        log.begin(routed.circumstances.id, spool_files.joined(self._begun, _STARTED))

    @property
    def reason(self) -> str:
        """Why `serving` serves: the router's reason, or `fallback` after a failure."""
        return "fallback" if self._fell_back else self.routed.decision.reason

    @property
    def _fell_back(self) -> bool:
        return self.serving.name != self.routed.decision.chosen

    def commit(self) -> None:
        """From here on a failure is final: the caller has been told who serves."""
        self._may_fall_back = False

    async def complete(self) -> Answer:
        """The whole answer of the first candidate that gives one."""
        answer = await self._first_to_answer(self._upstream.complete)
        self._usage, self._finish_reason = answer.usage, answer.finish_reason
        self._answered_as = answer.model
        self.finish("ok", answer=answer.body.get(self.routed.request.protocol.content))
        return answer

    async def open_stream(self) -> OpenedStream:
        """The stream of the first candidate that sends an event."""
        return await self._first_to_answer(self._open)

    async def _open(self, call: Call) -> OpenedStream:
        batches = self._upstream.stream(call)
        return OpenedStream(await anext(batches, None), batches)

    def saw(self, batch: Batch) -> None:
        """Keep what pricing needs of the events that pass."""
        self._meter = batch.meter

    async def _first_to_answer(self, send: Callable[[Call], Awaitable[T]]) -> T:
        failed: dict[str, str] = {}
        while True:
            started = time.perf_counter()
            call = self._upstream.prepare(self.serving, self.routed.request)
            self.dropped = call.dropped
            try:
                answer = await send(call)
            except UpstreamError as exc:
                self._attempted(exc.provider_status, exc.message, started)
                failed[self.serving.name] = f"failed upstream: {exc.provider_status or 'no answer'}"
                following = self._next(failed) if exc.is_retryable else None
                if following is None:
                    raise
                self.serving = following
            else:
                self._attempted(200, None, started)
                self._served_by = self.serving
                self._ttft_ms = (time.perf_counter() - self._started) * 1000
                return answer

    def _next(self, failed: dict[str, str]) -> Profile | None:
        """The next candidate by the same rule, without those that failed."""
        if not self._may_fall_back:
            return None
        routed = self.routed
        try:
            again = routing.decide(
                routed.decision.requirements,
                routed.request.demands,
                routed.pool,
                routed.threshold,
                vetoes=failed,
            )
        except NoEligibleProfile:
            return None
        return routed.profiles[again.chosen]

    def _attempted(self, status: int | None, error: str | None, started: float) -> None:
        latency_ms = (time.perf_counter() - started) * 1000
        self._attempts.append(
            Attempt(model=self.serving.name, status=status, error=error, latency_ms=latency_ms)
        )

    def finish(
        self,
        status: Status,
        *,
        error: str | None = None,
        disconnected: bool = False,
        answer: Any = None,
    ) -> None:
        """Close the record. Plain and synchronous: it also runs while being cancelled."""
        if self._finished:
            return
        self._finished = True
        if self._meter is not None:
            self._usage, self._finish_reason = self._meter.usage, self._meter.finish_reason
            self._answered_as = self._meter.model
        self.cost = self._settled(status)
        outcome = Outcome(
            status=status,
            attempts=tuple(self._attempts),
            served_by=None if self._served_by is None else self._served_by.name,
            cost=self.cost,
            usage=self._usage,
            finish_reason=self._finish_reason,
            disconnected=disconnected,
            error=error,
            ttft_ms=self._ttft_ms,
            latency_ms=(time.perf_counter() - self._started) * 1000,
            fallback=self._fell_back,
            answer=answer,
        )
        begun, self.record = self.record, decision.completed(self.record, outcome)
        if decision.only_adds(begun, outcome):  # what is encoded already is not encoded again
            added = dict(islice(self.record.items(), len(begun), None))
            text = spool_files.joined(self._begun, spool_files.to_json(added))
        else:
            text = spool_files.to_json(self.record)
        self._log.end(self.routed.circumstances.id, text)
        self._telemetry.finished(self.record, self._answered_as)

    def _settled(self, status: Status) -> Cost:
        baseline = self.routed.baseline
        if self._served_by is None:
            refused = status == "error" and all(
                attempt.status is not None and attempt.status not in (408, 504)
                for attempt in self._attempts
            )
            if refused:
                return costing.nothing_billed(baseline)
            return costing.settle(None, None, baseline)
        is_estimate = False
        if self._usage is None and status != "ok":
            # Providers bill what they generated before the stream broke or the client left.
            is_estimate = True
            self._usage = self._estimated()
        return costing.settle(self._usage, self._served_by, baseline, is_estimate=is_estimate)

    def _estimated(self) -> Usage:
        """The usage of a stream that ended before its count came."""
        said = None if self._meter is None else self._meter.prompt
        text_bytes = 0 if self._meter is None else self._meter.text_bytes
        prompt = said or Usage(prompt=self.routed.request.demands.prompt_tokens)
        service = prompt.service or ("" if self._meter is None else self._meter.service)
        return replace(prompt, completion=demands.tokens_in(text_bytes), service=service)
