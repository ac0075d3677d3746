"""`jepa-agent compare sb3`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["compare", "sb3", *sys.argv[1:]])
