"""The `da-agent-hub` command."""

from __future__ import annotations

import importlib

import click

# Each is a module beside this one with a command of the same name: what is not asked for is not imported.
_COMMANDS = {
    "backfill": ("backfill", "Read the history of past days; files no issue."),
    "demo": ("demo", "Watch the whole flow on a sandbox: no account and no key needed."),
    "doctor": ("doctor", "Check the configuration and each connection."),
    "monitor": ("monitor", "Do the daily job once, for cron or CI."),
    "respond": ("respond", "Work on what one event of GitHub asks for, as in GitHub Actions."),
    "try": ("try_project", "Investigate a dbt project of yours, without changing it."),
    "webhooks": ("webhooks", "Receive webhooks of GitHub and dbt Cloud."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _COMMANDS[cmd_name][0]
        command = getattr(importlib.import_module(f"{__package__}.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException:
            raise
        except Exception as error:
            # The hub's own errors are sentences for the operator; a traceback is for those that nobody foresaw.
            if type(error).__module__.partition(".")[0] != "da_agent_hub":
                raise
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="da-agent-hub", prog_name="da-agent-hub")
def main() -> None:
    """From a failed dbt run to a reviewed fix."""
