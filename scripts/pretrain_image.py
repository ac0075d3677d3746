"""`jepa-agent pretrain image`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["pretrain", "image", *sys.argv[1:]])
