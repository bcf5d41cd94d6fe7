"""So that `python -m app.cli` is `handoff`."""

from app.cli import main

main()
