"""`jepa-agent pretrain video`."""

import sys

from jepa_agent.cli import main

if __name__ == "__main__":
    main(["pretrain", "video", *sys.argv[1:]])
