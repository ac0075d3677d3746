"""`jepa-agent plan`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["plan", *sys.argv[1:]])
