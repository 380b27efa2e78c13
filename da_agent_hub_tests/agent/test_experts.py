"""Reading .claude/agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.agent.experts import READ_ONLY_TOOLS, load_experts

REPOSITORY = Path(__file__).parents[2]


def test_the_six_experts_of_the_project_are_readable_and_have_tools_and_a_model():
    experts, problems = load_experts(REPOSITORY / ".claude" / "agents")
    assert problems == ()
    assert {expert.name for expert in experts} >= {
        "business-context",
        "da-architect",
        "dbt-expert",
        "dlthub-expert",
        "snowflake-expert",
        "tableau-expert",
    }
    assert all(expert.tools and expert.model and len(expert.prompt) > 500 for expert in experts)


def test_plain_markdown_takes_its_name_from_the_file_and_its_description_from_when_to_use(tmp_path: Path):
    (tmp_path / "Finance Expert.md").write_text(
        "You are a specialized expert for finance.\n\n## Capabilities\nLedgers\n\n## When to Use\nWhen a ledger\nis off.\n\n## Analysis Framework\nx\n"
    )
    (expert,), problems = load_experts(tmp_path)
    assert problems == ()
    assert (expert.name, expert.description, expert.tools) == (
        "finance-expert",
        "When a ledger is off.",
        READ_ONLY_TOOLS,
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("---\nname: a\n", "not closed"),
        ("---\nname: [a\n---\nbody", "not YAML"),
        ("---\n- a\n---\nbody", "keys and values"),
        ("---\nname: A B\ndescription: d\n---\nbody", "'A B'"),
        ("---\nname: a\n---\nbody", "description is missing"),
        ("---\nname: a\ndescription: d\n---\n  \n", "body is empty"),
        ("---\nname: a\ndescription: d\ntools: {x: 1}\n---\nbody", "tools must be names"),
        ("", "file is empty"),
    ],
)
def test_a_bad_file_is_named_with_its_fault_and_the_others_are_read(tmp_path: Path, text: str, named: str):
    (tmp_path / "bad.md").write_text(text)
    (tmp_path / "good.md").write_text("---\nname: good\ndescription: d\ntools: read_file, git_log\n---\nbody\n")
    experts, (problem,) = load_experts(tmp_path)
    assert [expert.name for expert in experts] == ["good"]
    assert experts[0].tools == ("read_file", "git_log")
    assert "bad.md" in problem
    assert named in problem


def test_a_file_that_is_not_utf8_and_a_name_taken_twice_are_problems_not_crashes(tmp_path: Path):
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    for stem in ("b", "c"):
        (tmp_path / f"{stem}.md").write_text("---\nname: same\ndescription: d\n---\nbody\n")
    experts, problems = load_experts(tmp_path)
    assert len(experts) == 1
    assert len(problems) == 2


def test_a_missing_folder_says_which_setting_names_it(tmp_path: Path):
    experts, (problem,) = load_experts(tmp_path / "none")
    assert experts == ()
    assert "claude.agents_dir" in problem
