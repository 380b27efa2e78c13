"""The composition root: settings from the file that ``DA_AGENT_HUB_CONFIG`` names, or ``./hub.yaml``."""

import logging
import os

import dagster as dg

from .config import HubSettings, SettingsError, discover, load_settings
from .defs.build import build

logger = logging.getLogger(__name__)

# Whoever set one of these wants the hub to work from the environment alone; a GitHub token may be there for others.
_MEANT_FOR_THE_HUB = ("DBT_CLOUD_API_TOKEN", "DBT_CLOUD_ACCOUNT_ID", "DBT_PROJECT_NAME", "GITHUB_REPO")


def load() -> dg.Definitions:
    """The definitions of this environment; with no configuration at all there is no project, and a warning says so.

    Raises:
        SettingsError: there is a configuration, and it cannot be used.
    """
    path = discover(os.environ)
    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        if path is not None or any(os.environ.get(name) for name in _MEANT_FOR_THE_HUB):
            raise
        logger.warning("No project is monitored yet: %s. `make demo` shows the hub without any account.", error)
        settings = HubSettings(projects=[], github=[])
    return build(settings)


defs = load()
