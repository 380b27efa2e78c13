"""hub.yaml and the environment: what is accepted, and what each mistake is told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from da_agent_hub.config import DbtCloudSource, DbtCoreSource, HubSettings, SettingsError, discover, load_settings

SECRETS = {
    "DBT_CLOUD_API_TOKEN": "dbtc_hidden-9",
    "GITHUB_API_TOKEN": "ghp_hidden-8",
    "ANTHROPIC_API_KEY": "sk-hidden-7",
}
ENVIRONMENT_ALONE = {**SECRETS, "DBT_CLOUD_ACCOUNT_ID": "42", "GITHUB_REPO": "acme/shop", "DBT_PROJECT_NAME": "shop"}

GOOD = """\
projects:
  - name: shop
    repo: acme/shop
    source:
      type: dbt_cloud
      account_id: 1
      token: ${DBT_CLOUD_API_TOKEN}
  - name: ledger
    repo: git.acme.example:8443/acme/ledger
    source:
      type: dbt_core
      path: ledger/target
    verification:
      profiles_dir: profiles
github:
  - token: ${GITHUB_API_TOKEN}
  - host: git.acme.example:8443
    base_url: https://git.acme.example:8443/api/v3
    token: literal-hidden-6
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "hub.yaml"
    path.write_text(text)
    return path


def problems(path: Path | None, environ: dict[str, str] = SECRETS) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ)
    for secret in ("hidden-9", "hidden-8", "hidden-7", "hidden-6"):
        assert secret not in str(caught.value)
    return list(caught.value.problems)


def the_problem(path: Path | None, environ: dict[str, str] = SECRETS) -> str:
    found = problems(path, environ)
    assert len(found) == 1, found
    return found[0]


def test_a_file_with_references_is_read_into_settings(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD), SECRETS)
    shop, ledger = settings.projects
    assert isinstance(shop.source, DbtCloudSource)
    assert shop.source.token.get_secret_value() == "dbtc_hidden-9"
    assert shop.mode == "investigate"
    assert isinstance(ledger.source, DbtCoreSource)
    assert settings.github[0].token.get_secret_value() == "ghp_hidden-8"


def test_secrets_never_print(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD), SECRETS)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hidden" not in shown


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("repo: acme/shop", "repo: acme/shop\n    mode: ghp_hidden8hidden8hidden8"),
        ("github:", "ghp_hidden8hidden8hidden8: x\ngithub:"),
    ],
)
def test_a_token_in_the_place_of_something_else_is_not_shown(tmp_path: Path, before: str, after: str) -> None:
    said = the_problem(write(tmp_path, GOOD.replace(before, after, 1)))
    assert "[redacted]" in said
    assert "hidden8" not in said


@pytest.mark.parametrize("name", ["GITHUB_API_TOKEN", "DBT_CLOUD_API_TOKEN"])
def test_a_token_with_the_line_break_of_its_file_is_told_before_it_is_sent(name: str) -> None:
    said = the_problem(None, {**ENVIRONMENT_ALONE, name: f"{SECRETS[name]}\n"})
    assert said.startswith(f"environment: {name}: ")
    assert "line break" in said


def test_a_day_needs_no_quotes(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, f"{GOOD}schedule:\n  start_date: 2025-01-31\n"), SECRETS)
    assert settings.schedule.start_date == "2025-01-31"


def test_the_days_may_begin_today(tmp_path: Path) -> None:
    today = datetime.now(timezone.utc).date().isoformat()
    settings = load_settings(write(tmp_path, f"{GOOD}schedule:\n  start_date: {today}\n"), SECRETS)
    assert settings.schedule.start_date == today


def test_relative_paths_count_from_the_file_and_not_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = write(folder, GOOD)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(path.relative_to(tmp_path), SECRETS)
    source = settings.projects[1].source
    assert isinstance(source, DbtCoreSource)
    assert source.path == folder / "ledger/target"
    assert settings.projects[1].verification.profiles_dir == folder / "profiles"
    assert settings.state.artifacts_dir == folder / ".hub/artifacts"
    assert settings.state.url.get_secret_value() == f"sqlite:///{folder}/.hub/hub.db"
    assert settings.claude.agents_dir == folder / ".claude/agents"


@pytest.mark.parametrize("url", ["sqlite:////var/hub.db", "postgresql+psycopg://hub@db/hub"])
def test_a_state_url_that_is_not_relative_stays_as_it_is(tmp_path: Path, url: str) -> None:
    settings = load_settings(write(tmp_path, GOOD + f"state: {{url: '{url}'}}\n"), SECRETS)
    assert settings.state.url.get_secret_value() == url


def test_the_environment_alone_works_without_a_file() -> None:
    settings = load_settings(None, ENVIRONMENT_ALONE)
    (project,) = settings.projects
    assert (project.name, project.repo) == ("shop", "acme/shop")
    assert isinstance(project.source, DbtCloudSource)
    assert project.source.account_id == 42
    assert project.source.host == "https://cloud.getdbt.com"
    assert settings.github[0].host == "github.com"
    assert settings.claude.api_key is not None


def test_the_environment_alone_reaches_other_hosts_and_needs_no_claude_key() -> None:
    environ = {
        **ENVIRONMENT_ALONE,
        "ANTHROPIC_API_KEY": "",
        "DBT_CLOUD_HOST": "https://emea.dbt.com",
        "GITHUB_BASE_URL": "https://git.acme.example/api/v3/",
    }
    settings = load_settings(None, environ)
    assert settings.projects[0].repo == "git.acme.example/acme/shop"
    assert settings.github[0].host == "git.acme.example"
    assert settings.github[0].base_url == "https://git.acme.example/api/v3"
    assert settings.claude.api_key is None


def test_an_incomplete_environment_names_every_variable_that_is_missing() -> None:
    sentence = the_problem(None, {"DBT_PROJECT_NAME": "shop", "GITHUB_API_TOKEN": "ghp_hidden-8"})
    for name in ("DBT_CLOUD_API_TOKEN", "DBT_CLOUD_ACCOUNT_ID", "GITHUB_REPO"):
        assert name in sentence
    assert "GITHUB_API_TOKEN" not in sentence
    assert "hub.example.yaml" in sentence


def test_a_wrong_variable_is_named_as_a_variable_and_its_value_is_not_shown() -> None:
    environ = {**ENVIRONMENT_ALONE, "DBT_CLOUD_ACCOUNT_ID": "dbtc_hidden-9", "DBT_PROJECT_NAME": "My-Shop"}
    found = problems(None, environ)
    assert len(found) == 2
    assert any("environment: DBT_CLOUD_ACCOUNT_ID" in one and "integer" in one for one in found)
    assert any("environment: DBT_PROJECT_NAME" in one and "small letters" in one for one in found)


def test_a_missing_variable_names_variable_key_line_and_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    sentence = the_problem(path, {"GITHUB_API_TOKEN": "x"})
    assert sentence.startswith(f"{path}:7: projects[0] (shop).source.token: ")
    assert "DBT_CLOUD_API_TOKEN is not set" in sentence


def test_an_empty_variable_is_told_from_one_that_is_not_set(tmp_path: Path) -> None:
    assert "DBT_CLOUD_API_TOKEN is empty" in the_problem(
        write(tmp_path, GOOD), {"GITHUB_API_TOKEN": "x", "DBT_CLOUD_API_TOKEN": ""}
    )


def test_a_default_stands_in_and_a_doubled_dollar_is_literal(tmp_path: Path) -> None:
    text = GOOD.replace("repo: acme/shop", "repo: acme/${REPO:-shop}\n    clone_url: https://h/$${x}/$$y")
    project = load_settings(write(tmp_path, text), SECRETS).projects[0]
    assert project.repo == "acme/shop"
    assert project.clone_url == "https://h/${x}/$$y"


def test_a_value_from_the_environment_is_not_read_as_a_reference_again(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    settings = load_settings(path, {**SECRETS, "GITHUB_API_TOKEN": "${DBT_CLOUD_API_TOKEN}"})
    assert settings.github[0].token.get_secret_value() == "${DBT_CLOUD_API_TOKEN}"


def test_keys_and_comments_hold_no_references(tmp_path: Path) -> None:
    load_settings(write(tmp_path, "# ${NOT_SET}\n" + GOOD), SECRETS)


@pytest.mark.parametrize("reference", ["${", "${lower-case}", "${1X}", "${A:-b"])
def test_a_broken_reference_says_how_to_write_one(tmp_path: Path, reference: str) -> None:
    path = write(tmp_path, GOOD.replace("acme/shop", f"'acme/{reference}'"))
    assert "write ${NAME} or ${NAME:-default}" in the_problem(path)


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        GOOD.replace("name: shop", "name: Shop")
        .replace("account_id: 1", "acount_id: 1")
        .replace("path: ledger/target", "path: [1]")
        + "schedule: {history_days: 0, start_date: yesterday}\nbugets: {}\n"
    )
    found = problems(write(tmp_path, text))
    assert [one.split(": ")[1] for one in found] == [
        "projects[0] (Shop).name",
        "projects[0] (Shop).source.account_id",
        "projects[0] (Shop).source.acount_id",
        "projects[1] (ledger).source.path",
        "schedule.history_days",
        "bugets",
    ]
    assert "missing" in found[1]
    assert "did you mean 'account_id'" in found[2]
    assert "greater than or equal to 1" in found[4]
    assert "did you mean 'budgets'" in found[5]


@pytest.mark.parametrize(
    ("before", "after", "key", "sentence"),
    [
        ("type: dbt_core", "kind: dbt_core", "projects[1] (ledger).source", "the key 'type' is missing"),
        ("type: dbt_core", "type: dbtcloud", "projects[1] (ledger).source", "write type: dbt_cloud or type: dbt_core"),
        ("name: ledger", "name: shop", "projects[1] (shop).name", "name of projects[0] too"),
        ("repo: acme/shop", "repo: shop", "projects[0] (shop).repo", "'shop' is not a repository; write owner/name"),
        ("repo: acme/shop", "repo: https://github.com/acme/shop", "projects[0] (shop).repo", "write owner/name"),
        ("repo: acme/shop", "repo: ghe.example/acme/shop", "projects[0] (shop).repo", "for the host ghe.example"),
        ("repo: acme/shop", "repo: acme/shop\n    mode: repair", "projects[0] (shop).mode", "'repair' is not allowed"),
        ("repo: acme/shop", "repo: acme/shop\n    dbt_directory: ../x", "projects[0] (shop).dbt_directory", "leaves"),
        ("    base_url: https://git.acme.example:8443/api/v3\n", "", "github[1].base_url", "/api/v3"),
        ("host: git.acme.example:8443", "host: github.com", "github[1].host", "github[0] too"),
        ("token: literal-hidden-6", "token: ''", "github[1].token", "empty"),
        ("token: literal-hidden-6", "token: {a: literal-hidden-6}", "github[1].token", "valid string"),
        ("token: literal-hidden-6", "tokne: literal-hidden-6\n    token: x", "github[1].tokne", "mean 'token'"),
        ("token: literal-hidden-6", "token: x\n    port: literal-hidden-6", "github[1].port", "known are host"),
        ("github:", "claude: sk-hidden-7\ngithub:", "claude", "a mapping of keys"),
        ("github:", "claude:\n  api_key: [sk-hidden-7]\ngithub:", "claude.api_key", "valid string"),
        ("github:", "state: {url: hub.db}\ngithub:", "state.url", "not a database address"),
        ("github:", "schedule: {start_date: soon}\ngithub:", "schedule.start_date", "not a day"),
        (
            "github:",
            "schedule: {start_date: 2999-01-01}\ngithub:",
            "schedule.start_date",
            "is in the future; write today",
        ),
        ("token: literal-hidden-6", "token: x\n    trigger: ''", "github[1].trigger", "at least 2 characters"),
        (
            "github:",
            "budgets: {investigation_seconds: .inf}\ngithub:",
            "budgets.investigation_seconds",
            "finite number",
        ),
    ],
)
def test_a_mistake_names_its_key_and_the_fix(tmp_path: Path, before: str, after: str, key: str, sentence: str) -> None:
    assert before in GOOD
    found = [one for one in problems(write(tmp_path, GOOD.replace(before, after, 1))) if key + ": " in one]
    assert any(sentence in one for one in found), found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "not a mapping"),
        ("projects: [\n", "not valid YAML"),
        ("github:\n  - token: *literal-hidden-6\n", "not valid YAML"),
        ("github:\n  - token: !literal-hidden-6 x\n", "not valid YAML"),
        ("projects: []\ngithub: []\nprojects: []\n", "'projects' stands twice"),
        ("projects: []\ngithub: []\n", "no project"),
        ("projects:\n  shop: {}\ngithub: []\n", "valid list"),
        ("projects: \x00\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_settings_at_all_gets_one_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    problem = the_problem(path)
    assert sentence in problem
    assert problem.startswith(str(path))


def test_a_missing_file_a_folder_and_binary_text_are_told_apart(tmp_path: Path) -> None:
    assert "no such file" in the_problem(tmp_path / "hub.yaml")
    assert "cannot be read (Is a directory)" in the_problem(tmp_path)
    (tmp_path / "hub.yaml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in the_problem(tmp_path / "hub.yaml")


def test_the_file_is_found_by_variable_first_and_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert discover({}) is None
    write(tmp_path, GOOD)
    assert discover({}) == Path("hub.yaml")
    assert discover({"DA_AGENT_HUB_CONFIG": "/etc/hub.yaml"}) == Path("/etc/hub.yaml")


APP = "  - app: {app_id: 7, private_key_file: hub.pem}\n"


def test_the_hub_is_an_app_or_has_a_token_and_never_both(tmp_path: Path) -> None:
    token = "  - token: ${GITHUB_API_TOKEN}\n"
    settings = load_settings(write(tmp_path, GOOD.replace(token, APP)), SECRETS)
    assert settings.github[0].app is not None
    assert settings.github[0].app.private_key_file == tmp_path / "hub.pem"
    for wrong, told in (
        (APP + "    token: ${GITHUB_API_TOKEN}\n", "stands beside `app`; keep one"),
        ("  - trigger: '@hub'\n", "or `app` for a GitHub App"),
        ("  - app: {app_id: 7}\n", "either private_key or private_key_file"),
    ):
        (problem,) = problems(write(tmp_path, GOOD.replace(token, wrong)))
        assert "github[0]" in problem
        assert told in problem


def test_the_example_in_the_docs_is_valid() -> None:
    example = Path(__file__).parents[1] / "docs" / "hub.example.yaml"
    settings = load_settings(example, SECRETS)
    assert [project.name for project in settings.projects] == ["shop", "billing"]


def test_the_example_in_the_docs_shows_every_section() -> None:
    example = (Path(__file__).parents[1] / "docs" / "hub.example.yaml").read_text()
    for name in HubSettings.model_fields:
        assert f"\n{name}:" in example


def test_the_example_in_the_docs_shows_every_key() -> None:
    """Those that stand in a comment, because few need them, included."""
    example = (Path(__file__).parents[1] / "docs" / "hub.example.yaml").read_text()
    whole = yaml.safe_load(re.sub(r"(?m)^(\s*)# ((?:- |(?:  )+)?)(?=[a-z_]+: )", r"\1\2", example))
    assert list(_missing(HubSettings, [whole], "")) == []


def _missing(model: type[BaseModel], shown: list[dict[str, Any]], place: str) -> Iterator[str]:
    """The keys of a settings class that none of its mappings in the example has."""
    for name, info in model.model_fields.items():
        values = [mapping[name] for mapping in shown if name in mapping]
        if not values:
            yield f"{place}{name}"
        below = [one for value in values for one in (value if isinstance(value, list) else [value])]
        for inner in _models_in(info.annotation):
            kind = get_args(inner.model_fields["type"].annotation) if "type" in inner.model_fields else None
            mappings = [one for one in below if kind is None or one["type"] in kind]
            yield from _missing(inner, mappings, f"{place}{name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def test_a_quarantine_without_an_end_a_reason_or_nodes_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace("repo: acme/shop", "repo: acme/shop\n    filters: {quarantine: [{nodes: []}]}", 1)
    assert "filters:" in text
    (tmp_path / "hub.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path / "hub.yaml", SECRETS)
    told = str(refused.value)
    assert all(f"filters.quarantine[0].{key}" in told for key in ("nodes", "until", "reason"))


def test_a_resource_type_that_dbt_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(
        GOOD.replace("repo: acme/shop", "repo: acme/shop\n    filters: {resource_types: [models]}", 1)
    )
    with pytest.raises(SettingsError, match="write 'model', 'seed'"):
        load_settings(tmp_path / "hub.yaml", SECRETS)


def test_importing_the_settings_loads_no_heavy_package() -> None:
    code = "import sys, da_agent_hub.config; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "requests", "github", "anthropic", "sqlalchemy", "dbt", "yaml"} & set(loaded)


def test_a_url_of_object_storage_stays_one_and_its_options_are_read(tmp_path: Path) -> None:
    text = GOOD.replace(
        "path: ledger/target", "path: s3://bucket/runs\n      storage_options: {endpoint_url: http://127.0.0.1:1}"
    )
    assert text != GOOD
    sources = [project.source for project in load_settings(write(tmp_path, text), SECRETS).projects]
    (source,) = [one for one in sources if isinstance(one, DbtCoreSource)]
    assert source.path == "s3://bucket/runs"
    assert source.storage_options == {"endpoint_url": "http://127.0.0.1:1"}
