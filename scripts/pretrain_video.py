"""`jepa-agent pretrain video`."""

from jepa_agent.cli import main

if __name__ == "__main__":
    main("pretrain", "video")
