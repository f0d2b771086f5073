"""`hydra-gateway serve` and `demo`."""

import argparse
import os

from gateway import serving


def serve(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    return serving.serve(os.environ)


def demo(options: argparse.Namespace) -> int:
    """Serve what the demo upstream answers."""
    return serving.serve(os.environ, force_demo=True)
