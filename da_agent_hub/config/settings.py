"""The whole of hub.yaml as types."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SecretStr, field_validator


def _path_or_url(value: object) -> Path | str:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("a path, or a URL such as s3://bucket/runs, is missing")
    return value if "://" in value else Path(value)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DbtCloudSource(_Settings):
    """A dbt Cloud account's Admin API, read only."""

    type: Literal["dbt_cloud"]
    host: str = "https://cloud.getdbt.com"
    account_id: int
    token: SecretStr
    project_id: int | None = None
    environment_ids: list[int] = []
    job_ids: list[int] = []


class DbtCoreSource(_Settings):
    """Artifacts of dbt Core: a ``target/`` directory, or a folder that holds one folder a run, at any depth.

    ``path`` may be a URL, such as ``s3://bucket/runs``; ``storage_options`` then go to its file system (credentials
    come from the cloud's own environment). ``environment`` names where all of it ran; without, it is dbt's target.
    Where ``expected_every_hours`` is given, a project of which no run ends for so long is a failure.
    """

    type: Literal["dbt_core"]
    path: Annotated[Path | str, PlainValidator(_path_or_url)]
    environment: str | None = None
    storage_options: dict[str, Any] = {}
    expected_every_hours: float | None = Field(default=None, gt=0)


DbtSource = Annotated[DbtCloudSource | DbtCoreSource, Field(discriminator="type")]


class VerificationSettings(_Settings):
    """Where patches are tried: the profile and target that the operator chose.

    ``copy_database`` is a DuckDB file that each checkout gets a private copy of. ``environment`` names the variables
    that dbt may see beside the built-in allow-list.
    """

    profiles_dir: Path | None = None
    target: str | None = None
    copy_database: Path | None = None
    environment: list[str] = []
    timeout_seconds: float = Field(default=600.0, gt=0)


ResourceType = Literal["model", "seed", "snapshot", "test", "unit_test", "source", "operation"]


class QuarantineSettings(_Settings):
    """Nodes, by globs on names, whose failures are recorded and told to nobody through the day ``until``, in UTC."""

    nodes: list[str] = Field(min_length=1)
    until: date
    reason: str = Field(min_length=1)


class FilterSettings(_Settings):
    """Which failures become records: those that meet each list which asks for something, and no ``exclude``.

    All but the resource types are shell globs, upper and lower case alike; ``include`` and ``exclude`` are on names.
    Owners are dbt groups, and owners of nodes and of exposures downstream by name, e-mail or login. What is asked of
    names, tags and owners may hold of a test or of the node that it tests.

    Comments on one issue about changes (another category, a worse priority, a recurrence) are at least
    ``suppression_hours`` apart; its text is kept up to date all the same. More than ``storm_size`` new records in one
    filing become one digest issue.
    """

    severity: Literal["error", "warn"] = "error"
    include: list[str] = []
    exclude: list[str] = []
    tags: list[str] = []
    exclude_tags: list[str] = []
    owners: list[str] = []
    exclude_owners: list[str] = []
    resource_types: list[ResourceType] = []
    exclude_resource_types: list[ResourceType] = []
    packages: list[str] = []
    exclude_packages: list[str] = []
    quarantine: list[QuarantineSettings] = []
    suppression_hours: float = Field(default=24.0, ge=0)
    storm_size: int = Field(default=20, ge=1)


class PriorityRule(_Settings):
    """The first rule whose conditions all hold decides; a rule without conditions always holds."""

    priority: Literal["critical", "high", "medium", "low"]
    environment: str | None = None
    tag: str | None = None
    has_exposure: bool | None = None
    error_class: str | None = None


class ProjectSettings(_Settings):
    """One monitored dbt project."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    repo: str
    source: DbtSource
    dbt_directory: str = "."
    branch: str | None = None
    clone_url: str | None = None
    environments: list[str] = []
    exclude_environments: list[str] = []
    mode: Literal["observe", "file", "investigate", "fix"] = "investigate"
    filters: FilterSettings = FilterSettings()
    priority_rules: list[PriorityRule] = []
    owners: dict[str, str] = {}
    verification: VerificationSettings = VerificationSettings()
    lineage_prefix: list[str] = []
    taxonomy: list[Path] = []


class GitHubAppSettings(_Settings):
    """A GitHub App, by the text of its private key or the file that holds it.

    Without ``installation_id`` it is the only installation that the App has.
    """

    app_id: int
    private_key: SecretStr | None = None
    private_key_file: Path | None = None
    installation_id: int | None = None


class GitHubSettings(_Settings):
    """One GitHub host: github.com, or an Enterprise server by its API base URL; with a token, or as an App."""

    host: str = "github.com"
    base_url: str = "https://api.github.com"
    token: SecretStr | None = None
    app: GitHubAppSettings | None = None
    trigger: str = Field(default="@claude", min_length=2)
    bot_login: str | None = None


class WebhookSettings(_Settings):
    """Where ``da-agent-hub webhooks`` listens, and the secrets by which it knows who calls.

    Of several secrets any one counts, so that a new one can take turns with the old; dbt Cloud makes one a webhook.
    GitHub sends no more than ``largest_bytes``.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=1, le=65535)
    github_secrets: list[SecretStr] = []
    dbt_cloud_secrets: list[SecretStr] = []
    largest_bytes: int = Field(default=25_000_000, ge=1_000)


class ClaudeSettings(_Settings):
    """Claude; without a key the playbooks investigate."""

    api_key: SecretStr | None = None
    base_url: str | None = None
    agents_dir: Path = Path(".claude/agents")

    @field_validator("api_key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value  # so that ${ANTHROPIC_API_KEY:-} means "where there is one"


class BudgetSettings(_Settings):
    """Caps; reaching one is said in the thread. The two in dollars are for models that cost: the playbooks do not."""

    investigation_seconds: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    investigation_usd: float = Field(default=2.0, ge=0)
    day_usd: float = Field(default=50.0, ge=0)
    attempts_per_event: int = Field(default=3, ge=1)


class StateSettings(_Settings):
    """Where the hub remembers: SQLite by default, Postgres by URL; downloaded artifacts are kept for some days."""

    url: SecretStr = SecretStr("sqlite:///.hub/hub.db")
    artifacts_dir: Path = Path(".hub/artifacts")
    artifact_retention_days: int = Field(default=90, ge=1)
    checkouts_dir: Path = Path(".hub/checkouts")


class ScheduleSettings(_Settings):
    """How far back the hub reads at its first start, when its day begins, and how late a scheduled dbt run may be."""

    history_days: int = Field(default=14, ge=1, le=366)
    silence_hours: float = Field(default=3.0, gt=0)
    start_date: str = "2025-01-01"
    run_poll_seconds: int = Field(default=60, ge=1)
    issue_poll_seconds: int = Field(default=30, ge=1)
    inbox_poll_seconds: int = Field(default=5, ge=1)
    lineage_max_nodes: int = Field(default=2000, ge=0)

    @field_validator("start_date", mode="before")
    @classmethod
    def _day_is_text(cls, value: object) -> object:
        return value.isoformat() if type(value) is date else value  # which YAML makes of a day without quotes


class HubSettings(_Settings):
    """The whole of hub.yaml."""

    projects: list[ProjectSettings]
    github: list[GitHubSettings]
    claude: ClaudeSettings = ClaudeSettings()
    state: StateSettings = StateSettings()
    budgets: BudgetSettings = BudgetSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    webhooks: WebhookSettings | None = None
