"""`hydra-gateway doctor`: every finding with its remedy."""

import argparse
import os
from collections import Counter
from dataclasses import asdict

from gateway.commands.output import print_json
from gateway.doctor.examination import examine
from gateway.tables.findings import findings as table
from gateway.tables.terminal import show


def doctor(options: argparse.Namespace) -> int:
    """Examine and tell; 3 if something is a problem."""
    found = examine(os.environ, online=options.online)
    count = Counter(each.level for each in found)
    if options.json:
        print_json({"ok": not count["problem"], "findings": [asdict(each) for each in found]})
    else:
        show(table(found))
        print(f"\n{_number(count['problem'], 'problem')}, {_number(count['warning'], 'warning')}")
    return 3 if count["problem"] else 0


def _number(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
