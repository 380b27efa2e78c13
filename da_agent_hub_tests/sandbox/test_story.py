"""The story of a seed: repeatable, different from seed to seed, and innocent to look at."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from da_agent_hub.sandbox.story import NIGHTS, tell_story

FIRST_DAY = date(2026, 3, 2)
SEEDS = range(40)


def test_the_same_seed_tells_the_same_story() -> None:
    assert tell_story(5, FIRST_DAY) == tell_story(5, FIRST_DAY)


def test_seeds_move_businesses_tables_and_nights() -> None:
    stories = [tell_story(seed, FIRST_DAY) for seed in SEEDS]
    assert len({tuple(project.domain.name for project in story.projects) for story in stories}) >= 6
    for kind in ("duplicate_load", "renamed_column", "new_value", "null_burst", "flaky_test"):
        found = [
            one for story in stories for project in story.projects for one in project.incidents if one.kind == kind
        ]
        assert len(found) == len(stories)
        assert len({one.node for one in found}) >= 5
        assert len({one.nights for one in found}) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_every_incident_has_a_node_of_its_own_and_is_seen(seed: int) -> None:
    incidents = [one for project in tell_story(seed, FIRST_DAY).projects for one in project.incidents]
    assert len(incidents) == 10
    assert max(Counter((one.project, one.node) for one in incidents).values()) == 1
    for one in incidents:
        assert one.nights
        assert min(one.nights) >= 1
        assert max(one.nights) < NIGHTS
        if not one.heals:
            assert one.nights[-1] == NIGHTS - 1
    assert sum(one.fixable and not one.heals for one in incidents) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_commits_are_in_order_and_nothing_in_them_gives_an_incident_away(seed: int) -> None:
    for project in tell_story(seed, FIRST_DAY).projects:
        moments = [change.at for change in project.changes]
        assert moments == sorted(moments)
        assert len({change.author.login for change in project.changes}) >= 2
        subjects = [change.message for change in project.changes]
        assert len(set(subjects)) == len(subjects)
        for change in project.changes:
            for text in (change.message, *change.files, *change.files.values()):
                assert not re.search(r"incident|broken|fault|sandbox|culprit|flaky|duplicat", text, re.IGNORECASE), text


@pytest.mark.parametrize("seed", SEEDS)
def test_a_culprit_commit_has_innocent_neighbours_on_its_file(seed: int) -> None:
    for project in tell_story(seed, FIRST_DAY).projects:
        for incident in project.incidents:
            if incident.commit and incident.kind != "compile_error":
                culprit = next(one for one in project.changes if one.message == incident.commit)
                (path,) = culprit.files
                touching = [one.message for one in project.changes if path in one.files]
                assert len(touching) >= 3
