"""`jepa-agent evaluate`."""

from jepa_agent.cli import main

if __name__ == "__main__":
    main("evaluate")
