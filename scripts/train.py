"""`jepa-agent train`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
