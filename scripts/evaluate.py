"""`jepa-agent evaluate`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
