"""hub.yaml and the environment, read into typed settings; every error names the file, the key and the fix."""

from .loading import CONFIG_VARIABLE, SettingsError, discover, load_settings
from .settings import (
    BudgetSettings,
    ClaudeSettings,
    DbtCloudSource,
    DbtCoreSource,
    DbtSource,
    FilterSettings,
    GitHubAppSettings,
    GitHubSettings,
    HubSettings,
    PriorityRule,
    ProjectSettings,
    QuarantineSettings,
    ScheduleSettings,
    StateSettings,
    VerificationSettings,
    WebhookSettings,
)

__all__ = [
    "CONFIG_VARIABLE",
    "BudgetSettings",
    "ClaudeSettings",
    "DbtCloudSource",
    "DbtCoreSource",
    "DbtSource",
    "FilterSettings",
    "GitHubAppSettings",
    "GitHubSettings",
    "HubSettings",
    "PriorityRule",
    "ProjectSettings",
    "QuarantineSettings",
    "ScheduleSettings",
    "SettingsError",
    "StateSettings",
    "VerificationSettings",
    "WebhookSettings",
    "discover",
    "load_settings",
]
