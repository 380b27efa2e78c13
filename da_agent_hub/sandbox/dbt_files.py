"""The files of a dbt project, written for one business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

from .vocabulary import Branch, Domain, Table

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    block_start_string="[%",
    block_end_string="%]",
    variable_start_string="[[",
    variable_end_string="]]",
    comment_start_string="[#",
    comment_end_string="#]",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701  the output is SQL, and every word of it is ours
)


def project_files(domain: Domain, *, sampled: Branch | None = None) -> dict[str, str]:
    """Every file of the repository, by path in it; ``sampled`` gets a test that reads a part of the rows in each run."""
    files = {
        "dbt_project.yml": _yaml(_project(domain)),
        "models/staging/_sources.yml": _yaml(_sources(domain)),
        "models/staging/_staging.yml": _yaml(_staging_schema(domain)),
        "models/marts/_groups.yml": _yaml(_groups(domain)),
        "models/marts/_exposures.yml": _yaml(_exposures(domain)),
        "models/marts/_marts.yml": _yaml(_marts_schema(domain)),
        "models/intermediate/_intermediate.yml": _yaml(_intermediate_schema(domain)),
    }
    for table in domain.tables.values():
        files[f"models/staging/{table.staging}.sql"] = render("staging.sql", domain, table=table)
    for branch in domain.branches:
        files[f"models/marts/{branch.fact}.sql"] = render("fact.sql", domain, table=branch.table)
        if branch.reported:
            files[report_path(branch)] = render(
                "report.sql", domain, table=branch.table, branch=branch, moment=branch.table.first("moment").name
            )
    files |= {path: render(template, domain) for path, template in core_paths(domain).items()}
    if domain.shape == "service":
        rows = "\n".join(f"{code},{name}" for code, name in domain.sites)
        files[f"seeds/{domain.site}s.csv"] = f"{domain.site}_code,{domain.site}_name\n{rows}\n"
    if sampled:
        files[sampled_test_path(sampled)] = render(
            "sampled_test.sql",
            domain,
            table=sampled.table,
            branch=sampled,
            ceiling=sampled.table.column(sampled.measure).high,
        )
    placed = {_placed(domain, path): text for path, text in files.items()}
    return {"README.md": _readme(domain), ".gitignore": "target/\nlogs/\ndbt_packages/\n", **placed}


def core_paths(domain: Domain) -> dict[str, str]:
    """The core models of the shape: path in the dbt project to template."""
    roles = domain.roles
    if domain.shape == "sales":
        document = roles["document"]
        return {
            f"models/intermediate/int_{document.singular}_totals.sql": "sales/int_totals.sql",
            f"models/intermediate/int_{document.name}_enriched.sql": "sales/int_enriched.sql",
            f"models/marts/fct_{document.name}.sql": "sales/fct.sql",
            f"models/marts/dim_{roles['party'].name}.sql": "sales/dim.sql",
            f"models/marts/rpt_daily_{document.name}.sql": "sales/rpt_daily.sql",
        }
    job = roles["job"]
    return {
        f"models/intermediate/int_{job.singular}_delays.sql": "service/int_delays.sql",
        f"models/marts/fct_{job.name}.sql": "service/fct.sql",
        f"models/marts/rpt_{roles['party'].singular}_punctuality.sql": "service/rpt_party.sql",
        f"models/marts/rpt_{domain.site}_volumes.sql": "service/rpt_site.sql",
    }


def report_path(branch: Branch) -> str:
    """Where a branch's report lives in the dbt project."""
    return f"models/marts/{branch.report}.sql"


def known_values_test(branch: Branch) -> str:
    """The name of the test that knows a branch's categories."""
    return f"{branch.fact}_{branch.category}_is_known"


def sampled_test_path(branch: Branch) -> str:
    """Where the sampled test of a branch lives in the dbt project."""
    return f"tests/assert_{branch.table.singular}_{branch.measure}_is_plausible.sql"


def render(template: str, domain: Domain, **more: Any) -> str:
    """One template in the words of a domain."""
    roles: dict[str, Any] = dict(domain.roles)
    if domain.shape == "sales":
        line, document = domain.roles["line"], domain.roles["document"]
        roles |= {
            "quantity": line.first("number").name,
            "price": line.first("money").name,
            "extra": document.first("money").name,
            "segment": domain.roles["profile"].columns[2].name,
            "moment": document.first("moment").name,
        }
    else:
        roles |= {"site": domain.site, "moment": domain.roles["job"].first("moment").name}
    return _TEMPLATES.get_template(template).render(**{"domain": domain, **roles, **more})


def _placed(domain: Domain, path: str) -> str:
    return path if domain.directory == "." else f"{domain.directory}/{path}"


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)


def _readme(domain: Domain) -> str:
    place = "the root of this repository" if domain.directory == "." else f"`{domain.directory}/`"
    return (
        f"# {domain.name}\n\nThe dbt project of {domain.owner}'s {domain.name} data, in {place}. "
        f"Raw tables arrive in `{domain.raw_schema}` each night at about 01:30 UTC; dbt builds after that.\n\n"
        "Staging models rename and cast, intermediate models join, marts are what people read.\n"
    )


def _project(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "version": "1.0.0",
        "config-version": 2,
        "profile": domain.name,
        "model-paths": ["models"],
        "seed-paths": ["seeds"],
        "test-paths": ["tests"],
        "clean-targets": ["target", "dbt_packages"],
        "models": {
            domain.name: {
                "staging": {"+materialized": "view"},
                "intermediate": {"+materialized": "view"},
                "marts": {"+materialized": "table"},
            }
        },
    }


def _sources(domain: Domain) -> dict[str, Any]:
    return {
        "version": 2,
        "sources": [
            {
                "name": domain.source,
                "description": f"Tables of the {domain.name} application, loaded each night.",
                "schema": domain.raw_schema,
                "loader": "nightly extract",
                "config": {
                    "loaded_at_field": "_loaded_at",
                    "freshness": {
                        "warn_after": {"count": 28, "period": "hour"},
                        "error_after": {"count": 36, "period": "hour"},
                    },
                },
                "tables": [
                    {"name": table.name, "description": f"One row per {table.singular.replace('_', ' ')}."}
                    for table in domain.tables.values()
                ],
            }
        ],
    }


def _staging_schema(domain: Domain) -> dict[str, Any]:
    return {
        "version": 2,
        "models": [
            {
                "name": table.staging,
                "description": f"{table.name.replace('_', ' ').capitalize()} as the application has them.",
                "columns": [{"name": table.key, "data_tests": ["not_null"]}],
            }
            for table in domain.roles.values()
        ]
        + [
            {
                "name": branch.table.staging,
                "description": f"{_title(branch.table.name)} as the application has them; {branch.fact} tests them.",
            }
            for branch in domain.branches
        ],
    }


def _groups(domain: Domain) -> dict[str, Any]:
    return {
        "version": 2,
        "groups": [{"name": team, "owner": {"name": _title(team), "email": email}} for team, email in domain.teams],
    }


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _exposures(domain: Domain) -> dict[str, Any]:
    core, detail = (
        (f"fct_{domain.roles['document'].name}", f"rpt_daily_{domain.roles['document'].name}")
        if domain.shape == "sales"
        else (f"fct_{domain.roles['job'].name}", f"rpt_{domain.site}_volumes")
    )
    exposures = [
        (f"{domain.name}_board_pack", "dashboard", "high", core, 0),
        (f"{domain.name}_weekly", "analysis", "medium", detail, 1),
    ]
    exposures += [
        (f"{branch.table.singular}_monitor", "dashboard", "medium", branch.report, 1)
        for branch in domain.branches
        if branch.reported
    ]
    return {
        "version": 2,
        "exposures": [
            {
                "name": name,
                "label": _title(name),
                "type": kind,
                "maturity": maturity,
                "url": f"https://bi.{domain.owner}.example/{name}",
                "description": f"Read by {_title(domain.teams[team][0])}.",
                "depends_on": [f"ref('{model}')"],
                "owner": {"name": _title(domain.teams[team][0]), "email": domain.teams[team][1]},
            }
            for name, kind, maturity, model, team in exposures
        ],
    }


def _marts_schema(domain: Domain) -> dict[str, Any]:
    models = [_core_fact(domain)]
    for branch, (group, _) in zip(domain.branches, (*domain.teams, *domain.teams), strict=False):
        models.append(_branch_fact(domain, branch, group))
        if branch.reported:
            models.append(
                {
                    "name": branch.report,
                    "description": f"{_title(branch.table.name)} by day and {branch.category}.",
                    "config": {"group": group},
                    "columns": [{"name": "activity_date", "data_tests": ["not_null"]}],
                }
            )
    team = domain.teams[0][0]
    party = domain.roles["party"]
    if domain.shape == "sales":
        document = domain.roles["document"]
        models += [
            {
                "name": f"dim_{party.name}",
                "description": f"One row per {party.singular}, with what it bought so far.",
                "config": {"group": team},
                "columns": [{"name": party.key, "data_tests": ["unique", "not_null"]}],
            },
            {
                "name": f"rpt_daily_{document.name}",
                "description": f"{_title(document.name)} by day and segment.",
                "config": {"group": team},
                "columns": [{"name": "report_date", "data_tests": ["not_null"]}],
            },
        ]
    else:
        models += [
            {
                "name": f"rpt_{party.singular}_punctuality",
                "description": f"How late each {party.singular} is.",
                "config": {"group": domain.teams[1][0]},
                "columns": [{"name": party.key, "data_tests": ["unique", "not_null"]}],
            },
            {
                "name": f"rpt_{domain.site}_volumes",
                "description": f"Work by {domain.site} and day.",
                "config": {"group": team},
                "columns": [{"name": f"{domain.site}_code", "data_tests": ["not_null"]}],
            },
        ]
    return {"version": 2, "models": models}


def _core_fact(domain: Domain) -> dict[str, Any]:
    table: Table = domain.roles["document" if domain.shape == "sales" else "job"]
    party = domain.roles["party"]
    return {
        "name": f"fct_{table.name}",
        "description": f"One row per {table.singular.replace('_', ' ')}.",
        "config": {"group": domain.teams[0][0], "tags": ["core"]},
        "columns": [
            {"name": table.key, "description": "The grain.", "data_tests": ["unique", "not_null"]},
            {"name": party.key, "data_tests": [_relationship(party)]},
        ],
    }


def _branch_fact(domain: Domain, branch: Branch, team: str) -> dict[str, Any]:
    table, party = branch.table, domain.roles["party"]
    known = {"name": known_values_test(branch), "arguments": {"values": list(table.column(branch.category).values)}}
    return {
        "name": branch.fact,
        "description": f"One row per {table.singular.replace('_', ' ')}, with the {party.singular} it belongs to.",
        "config": {"group": team},
        "columns": [
            {"name": table.key, "description": "The grain.", "data_tests": ["unique", "not_null"]},
            {"name": branch.category, "data_tests": [{"accepted_values": known}]},
            {"name": branch.measure, "data_tests": ["not_null"]},
        ],
    }


def _relationship(table: Table) -> dict[str, Any]:
    return {"relationships": {"arguments": {"to": f"ref('{table.staging}')", "field": table.key}}}


def _intermediate_schema(domain: Domain) -> dict[str, Any]:
    if domain.shape == "sales":
        document, line = domain.roles["document"], domain.roles["line"]
        quantity, price = line.first("number").name, line.first("money").name
        name = f"int_{document.singular}_totals"
        return {
            "version": 2,
            "models": [
                {"name": name, "description": f"{_title(line.name)} summed up by {document.singular}."},
                {
                    "name": f"int_{document.name}_enriched",
                    "description": f"{_title(document.name)} with totals and the current segment.",
                },
            ],
            "unit_tests": [
                {
                    "name": f"{document.singular}_totals_add_up",
                    "model": name,
                    "given": [
                        {
                            "input": f"ref('{line.staging}')",
                            "rows": [
                                {document.key: 1, quantity: 2, price: 10.0},
                                {document.key: 1, quantity: 1, price: 5.0},
                            ],
                        }
                    ],
                    "expect": {"rows": [{document.key: 1, "line_count": 2, "net_amount": 25.0}]},
                }
            ],
        }
    job = domain.roles["job"]
    return {
        "version": 2,
        "models": [
            {"name": f"int_{job.singular}_delays", "description": "Minutes over what was promised, never below zero."}
        ],
    }
