"""`hydra-gateway route`: the decision about one prompt, made as serving makes it."""

import argparse
import asyncio
import json
import os
import sys

from gateway.commands.output import print_json
from gateway.decision import record
from gateway.intake import DEFAULT_POOL, Intake
from gateway.prediction import Prediction
from gateway.request import parse
from gateway.serving import plan
from gateway.tables import decisions as tables
from gateway.tables.terminal import show


def route(options: argparse.Namespace) -> int:
    """Requirements, candidates, gates, choice and why; calls no model."""
    planned = plan(os.environ)
    text = sys.stdin.read() if options.prompt == "-" else options.prompt
    knobs = {"mode": options.mode, "threshold": options.threshold, "pool": options.pool}
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": text}],
        "hydra": {name: value for name, value in knobs.items() if value is not None},
    }
    prediction = Prediction(planned.predictor, timeout_ms=planned.settings.predictor_timeout_ms)
    intake = Intake(
        lambda: planned.catalog,
        prediction,
        default_pool=planned.settings.pool or DEFAULT_POOL,
    )
    chat = parse(json.dumps(body).encode(), {})
    routed = asyncio.run(intake.decide(chat, key_id=None))
    prediction.close()
    entry = record(routed.decision, routed.circumstances)
    if options.json:
        print_json(entry)
    else:
        show(tables.decision(entry))
    return 0
