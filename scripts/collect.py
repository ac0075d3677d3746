"""`jepa-agent collect`."""

from jepa_agent.cli import main

if __name__ == "__main__":
    main("collect")
