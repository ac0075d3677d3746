"""`jepa-agent play`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["play", *sys.argv[1:]])
