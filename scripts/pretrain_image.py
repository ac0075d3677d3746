"""`jepa-agent pretrain image`."""

from jepa_agent.cli import main

if __name__ == "__main__":
    main("pretrain", "image")
