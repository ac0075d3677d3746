"""`jepa-agent collect`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["collect", *sys.argv[1:]])
