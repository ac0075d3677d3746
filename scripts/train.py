"""`jepa-agent train`."""

from jepa_agent.cli import main

if __name__ == "__main__":
    main("train")
