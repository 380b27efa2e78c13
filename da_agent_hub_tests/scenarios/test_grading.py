"""The grader sees through wrong answers and wrong patches, and lets right ones pass."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .catalogue import SCENARIOS, stage
from .expectation import Incident, Scenario
from .grading import IncidentGrade, grade_answer, total
from .patch_trial import Trial, try_patch
from .site import Site

TELECOM = SCENARIOS["telecom_join_to_history_fans_out"]
WATER = SCENARIOS["water_null_burst"]
AIRLINE = SCENARIOS["airline_two_causes_in_one_run"]
CULPRIT = "c0ffee" * 6 + "c0ff"
SHAS = {"culprit": CULPRIT}


def accept(_incident: Incident, _diff: str) -> Trial:
    return Trial(())


def reject(_incident: Incident, _diff: str) -> Trial:
    return Trial(("a row a call: 400 instead of 300",))


def issue(**changes: Any) -> dict[str, Any]:
    found = {"cause_kind": "code", "culprit_sha": CULPRIT, "root_node": "model.telecom.fct_usage", "headline": "A join"}
    return {
        "title": "unique_fct_usage_usage_id fails",
        "category": "code_fix_required",
        "investigation": {**found, **changes.pop("investigation", {})},
        "fix": {"outcome": "opened", "diff": "diff"},
        "pull_request": {"draft": False},
        **changes,
    }


def only(scenario: Scenario, *issues: Any, judge: Any = accept) -> IncidentGrade:
    (grade,) = grade_answer(scenario, {"issues": issues}, SHAS, judge).incidents
    return grade


def test_a_right_answer_is_right_in_everything() -> None:
    grade = grade_answer(TELECOM, {"issues": [issue()]}, SHAS, accept)
    (incident,) = grade.incidents
    assert grade.counted_right
    assert (incident.category, incident.cause, incident.found, incident.fixed) == (True, True, True, True)
    assert str(total([grade])) == (
        "issues 1/1, category 1/1, cause kind 1/1, cause found 1/1, fixed 1/1, abstained 0/0, false fixes 0, troubles 0"
    )


def test_an_innocent_commit_is_not_the_cause() -> None:
    assert not only(TELECOM, issue(investigation={"culprit_sha": "a" * 40})).found


def test_the_right_node_does_not_stand_in_for_the_culprit() -> None:
    assert not only(TELECOM, issue(investigation={"culprit_sha": None})).found


def test_a_source_is_found_by_its_node() -> None:
    said = {"cause_kind": "data", "culprit_sha": None, "root_node": "source.water.iot.readings"}
    assert only(WATER, issue(investigation=said, pull_request=None)).found


def test_a_draft_is_no_fix_and_a_failed_trial_is_a_false_one() -> None:
    assert not only(TELECOM, issue(pull_request={"draft": True})).fixed
    wrong = only(TELECOM, issue(), judge=reject)
    assert not wrong.fixed
    assert wrong.false_fix


def test_a_second_issue_of_one_cause_is_one_too_many() -> None:
    assert not grade_answer(TELECOM, {"issues": [issue(), issue()]}, SHAS, accept).counted_right


def test_no_answer_at_all_earns_nothing() -> None:
    grade = only(TELECOM)
    assert (grade.found, grade.fixed, grade.abstained) == (False, False, None)
    assert only(WATER).abstained is False


def test_each_of_two_causes_is_graded_by_its_own_issue() -> None:
    crews = issue(title="stg_crews cannot be built")
    flights = issue(
        title="not_null on stg_flights.tail_no fails",
        investigation={"cause_kind": "data", "culprit_sha": None, "root_node": "source.airline.ops.flights"},
        category="data_quality_issue",
        pull_request=None,
    )
    first, second = grade_answer(AIRLINE, {"issues": [flights, crews]}, SHAS, accept).incidents
    assert (first.found, first.fixed, second.found, second.abstained) == (True, True, True, True)


@pytest.fixture(scope="module")
def telecom(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site, _ = stage(TELECOM, tmp_path_factory.mktemp("telecom") / "site")
    return site


def diff_of(site: Site, folder: Path, *edits: tuple[str, str, str]) -> str:
    subprocess.run(["git", "clone", "-q", str(site.root), str(folder)], check=True)
    for path, old, new in edits:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))
    return subprocess.run(["git", "diff"], cwd=folder, capture_output=True, text=True, check=True).stdout


MART = "models/marts/fct_usage.sql"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        pytest.param([(MART, "ref('stg_tariff_history')", "ref('stg_tariffs')")], None, id="right"),
        pytest.param(
            [
                (
                    MART,
                    "select * from priced",
                    "select * from priced\nqualify row_number() over (partition by usage_id) = 1",
                )
            ],
            "every price is the one of that day",
            id="any row a key",
        ),
        pytest.param(
            [("models/marts/marts.yml", "[unique, not_null]", "[not_null]")],
            "test unique_fct_usage_usage_id is gone",
            id="test deleted",
        ),
        pytest.param(
            [("models/marts/marts.yml", "[unique, not_null]", "[not_null, {unique: {config: {severity: warn}}}]")],
            "test unique_fct_usage_usage_id asks for something else",
            id="test weakened",
        ),
        pytest.param([(MART, "usage.usage_id,", "usage.usage_id as usage,")], "fails with it", id="broken"),
    ],
)
def test_a_patch_is_judged_by_what_it_does(
    telecom: Site, tmp_path: Path, edits: list[tuple[str, str, str]], fault: str | None
) -> None:
    diff = diff_of(telecom, tmp_path / "clone", *edits)
    faults = try_patch(TELECOM, TELECOM.incidents[0], telecom, diff, tmp_path / "trial").faults
    if fault is None:
        assert faults == ()
    else:
        assert any(fault in found for found in faults), faults


@pytest.mark.slow
def test_a_patch_may_not_touch_what_is_protected(telecom: Site, tmp_path: Path) -> None:
    guarded = replace(TELECOM, protected=("models/marts/*",))
    diff = diff_of(telecom, tmp_path / "clone", (MART, "ref('stg_tariff_history')", "ref('stg_tariffs')"))
    assert f"touches {MART}" in try_patch(guarded, guarded.incidents[0], telecom, diff, tmp_path / "trial").faults
