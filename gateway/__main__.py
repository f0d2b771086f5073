"""`python -m gateway` is `hydra-gateway serve` unless another command is named."""

import sys

from gateway.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["serve"]))
