"""The da-agent-hub command, one module a sub-command."""
