"""From a request to a decision: the one path that serving, the dry run and the command line share.

Reads the running catalog and asks the predictor; calls no model and writes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway import routing
from gateway.catalog import Catalog
from gateway.decision import Circumstances, Decision, NoEligibleProfile
from gateway.errors import InvalidRequest, NoEligibleModel, NotFound
from gateway.identifiers import new_id
from gateway.prediction import Prediction
from gateway.profile import Pool, Profile
from gateway.request import AUTO, ModelRequest
from predictor.render import render

DEFAULT_POOL: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A request with its decision, and what dispatching and pricing it needs."""

    request: ModelRequest
    decision: Decision
    circumstances: Circumstances
    pool: Pool
    profiles: dict[str, Profile]  # all that may serve it, by name
    baseline: Profile | None

    @property
    def threshold(self) -> float:
        """The threshold (or value in dollars) the decision was made with; 0 when pinned."""
        return self.decision.threshold or 0.0


class Intake:
    """Decides requests with the predictor and the catalog that `catalog()` gives at the time."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        prediction: Prediction,
        *,
        default_pool: str = DEFAULT_POOL,
        log_content: bool = False,
    ) -> None:
        self._catalog = catalog
        self._prediction = prediction
        self._default_pool = default_pool
        self._log_content = log_content

    async def decide(
        self, request: ModelRequest, *, key_id: str | None, request_id: str | None = None
    ) -> Routed:
        """Raises NotFound (pool, model), InvalidRequest (mode) or NoEligibleModel."""
        started = time.perf_counter()
        catalog = self._catalog()
        pool = self.pool(request.controls.pool)
        mode: str | None = None
        predictor_ms: float | None = None
        if request.is_routed:
            pool, mode, threshold = _knob(request, pool)
            predicting = time.perf_counter()
            requirements = await self._prediction.requirements(render(request.messages))
            predictor_ms = (time.perf_counter() - predicting) * 1000
            try:
                decision = routing.decide(requirements, request.demands, pool, threshold)
            except NoEligibleProfile as exc:
                raise NoEligibleModel(self._explained(exc, pool), param="model") from exc
            profiles = {profile.name: profile for profile in pool.profiles}
        else:
            profile = self.named(request.model)
            decision = routing.pinned(profile, request.demands, pool)
            profiles = {profile.name: profile}
        circumstances = Circumstances(
            id=new_id(),
            at=datetime.now(UTC),
            key_id=key_id,
            session=request.controls.session,
            user=request.user,
            endpoint=request.protocol.path,
            request_id=request_id,
            mode=mode,
            model_requested=str(request.body.get("model")),
            stream=request.stream,
            tags=request.controls.tags,
            catalog_sha=catalog.sha,
            predictor_sha=self._prediction.predictor.sha256[:16],
            prompt_chars=request.prompt_chars,
            prompt_sha256=request.prompt_sha256,
            predictor_ms=predictor_ms,
            router_ms=(time.perf_counter() - started) * 1000,
            content={"messages": request.messages} if self._log_content else None,
        )
        return Routed(
            request=request,
            decision=decision,
            circumstances=circumstances,
            pool=pool,
            profiles=profiles,
            baseline=catalog.profiles.get(pool.baseline),
        )

    @property
    def predictor_answers(self) -> bool:
        """Whether the last prediction succeeded."""
        return self._prediction.is_well

    def pool(self, name: str | None) -> Pool:
        """The pool of that name, or the default one. Raises NotFound."""
        pools = self._catalog().pools
        wanted = name or self._default_pool
        if wanted not in pools:
            raise NotFound(
                f"no pool is named '{wanted}': there are {', '.join(sorted(pools))}",
                param="pool",
                code="pool_not_found",
            )
        return pools[wanted]

    def named(self, name: str) -> Profile:
        """The profile a caller pinned, of any pool. Raises NotFound."""
        catalog = self._catalog()
        if not catalog.is_usable(name):
            usable = [AUTO, *(item for item in catalog.profiles if catalog.is_usable(item))]
            why = catalog.unusable.get(name)
            raise NotFound(
                f"the model '{name}' "
                + (f"can't be used here: {why}" if why else "does not exist")
                + f"; available are {', '.join(usable)}",
                param="model",
                code="model_not_found",
            )
        return catalog.profiles[name]

    def _explained(self, exc: NoEligibleProfile, pool: Pool) -> str:
        if pool.profiles:
            return str(exc)
        unusable = self._catalog().unusable
        reasons = "; ".join(f"{name}: {why}" for name, why in unusable.items())
        return f"no profile of pool '{pool.name}' can be used here ({reasons})"


def _knob(request: ModelRequest, pool: Pool) -> tuple[Pool, str | None, float]:
    """The pool, the mode's name (None when the caller gave a number) and the number to decide with.

    Who gives a threshold asks for the threshold rule, also where the pool's modes are values.
    """
    if request.controls.threshold is not None:
        return replace(pool, rule="threshold"), None, request.controls.threshold
    mode = request.controls.mode or pool.default_mode
    if mode not in pool.modes:
        raise InvalidRequest(
            f"pool '{pool.name}' has no mode '{mode}': it has {', '.join(pool.modes)}",
            param="mode",
        )
    return pool, mode, pool.modes[mode]
