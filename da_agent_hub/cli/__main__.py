"""`python -m da_agent_hub.cli`, where the command is not on the path."""

from .main import main

main()
