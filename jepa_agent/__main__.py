"""`python -m jepa_agent` is the command `jepa-agent`."""

from .cli import main

main()
