"""What every command prints alike: JSON for a program."""

import json


def print_json(value: object) -> None:
    """One value, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=list))


def print_json_line(value: object) -> None:
    """One value on a line of its own, which the reader of a pipe gets at once."""
    print(json.dumps(value, ensure_ascii=False, default=list), flush=True)
