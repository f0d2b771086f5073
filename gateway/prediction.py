"""The predictor at work in a server: one thread, a bounded wait, a memory of recent texts.

What can't be predicted in time is not an error: the answer is None, and the router falls back to
the pool's own choice with reason `predictor_unavailable`.
"""

import asyncio
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from predictor import Predictor

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 4096  # texts of at most 512 tokens: some megabytes
_DIGITS: Final = 4  # what the record shows is what was decided on, so a decision can be recomputed


class Prediction:
    """Requirements (K,) in [0, 1] for rendered texts."""

    def __init__(self, predictor: Predictor, *, timeout_ms: int) -> None:
        self.predictor = predictor
        self.is_well = True  # whether the last prediction succeeded
        self._timeout_s = timeout_ms / 1000
        self._remembered: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predictor")

    async def requirements(self, text: str) -> tuple[float, ...] | None:
        """The requirements of a rendered text, or None when the predictor fails or is late."""
        known = self._remembered.get(text)
        if known is not None:
            self._remembered.move_to_end(text)
            return known
        waiting = asyncio.get_running_loop().run_in_executor(
            self._thread, self.predictor.predict, text
        )
        try:
            found = await asyncio.wait_for(waiting, self._timeout_s)
        except TimeoutError:
            self.is_well = False
            logger.warning("prediction took longer than %.0f ms", self._timeout_s * 1000)
            return None
        except Exception:
            self.is_well = False
            logger.exception("prediction failed")
            return None
        self.is_well = True
        rounded = tuple(round(value, _DIGITS) for value in found)
        self._remembered[text] = rounded
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return rounded

    def close(self) -> None:
        """Let the thread end; what still waits is given up."""
        self._thread.shutdown(wait=False, cancel_futures=True)
