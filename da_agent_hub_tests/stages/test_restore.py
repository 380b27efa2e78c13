"""A record store that vanished: what the issues themselves remember is known again, and nothing is told twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.domain.issue import IssueDraft
from da_agent_hub.domain.marker import RecordMarker, answers, key_marker
from da_agent_hub.stages.record import records_as_of
from da_agent_hub.stages.restore import restore_from_issues
from da_agent_hub_tests.domain.dbt_story import SHOP, START
from da_agent_hub_tests.fakes.tracker import FakeTracker

from .test_correct import CODE, PROJECT, Shop


def corrected_shop(folder: Path) -> Shop:
    shop = Shop(folder)
    shop.night(1)
    shop.file(1)
    shop.investigate()
    shop.file(1)
    assert CODE in shop.hub.issue(shop.ref).labels
    return shop


def forget(shop: Shop, folder: Path) -> None:
    """The runs can be read again; everything else that the store held is gone."""
    runs = shop.store.runs("shop")
    shop.store.close()
    shop.store = open_record_store(f"sqlite:///{folder / 'new.db'}")
    shop.store.save_graph("shop", "1001", START, SHOP)
    for one in runs:
        shop.store.remember_run(one)


def test_a_category_that_was_proven_stays_and_the_thread_hears_nothing(tmp_path: Path) -> None:
    shop = corrected_shop(tmp_path)
    before, thread = shop.hub.issue(shop.ref), shop.hub.comments(shop.ref)
    forget(shop, tmp_path)
    assert restore_from_issues(PROJECT, shop.hub, shop.store) == 1
    shop.file(1)
    (record,) = shop.store.records("shop")
    assert record.correction is not None
    assert record.correction.culprit_sha
    assert shop.hub.comments(shop.ref) == thread
    assert shop.hub.issue(shop.ref) == before
    shop.store.set_filed_until("shop", shop.evening(1))
    assert restore_from_issues(PROJECT, shop.hub, shop.store) == 0


def test_without_it_the_category_would_go_back_and_forth(tmp_path: Path) -> None:
    """What the restoring is for: the very same filing without it."""
    shop = corrected_shop(tmp_path)
    forget(shop, tmp_path)
    shop.file(1)
    assert CODE not in shop.hub.issue(shop.ref).labels


def test_a_marker_in_somebody_elses_issue_is_not_believed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.night(1)
    (record,) = records_as_of(PROJECT, shop.store, None)
    shop.file(1)
    marker = RecordMarker.read(shop.hub.issue(shop.ref).body)
    assert marker is not None
    forged = replace(marker, given_category="data_quality_issue", category="code_fix_required", culprit_sha="b" * 40)
    FakeTracker(shop.host, "mallory").create_issue(
        shop.host.repo, IssueDraft("Mine", str(forged), labels=("dbt-error",))
    )
    forget(shop, tmp_path)
    assert restore_from_issues(PROJECT, shop.hub, shop.store) == 0
    assert shop.store.issue_of(record.fingerprint) == str(shop.ref)
    assert shop.store.proven_categories("shop") == {}


def test_a_marker_of_another_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    shop = corrected_shop(tmp_path)
    issue = shop.hub.issue(shop.ref)
    shop.hub.update_issue(shop.ref, body=issue.body.replace('"data_quality_issue"', '"a_category_to_come"'))
    forget(shop, tmp_path)
    assert restore_from_issues(PROJECT, shop.hub, shop.store) == 0


def test_an_answer_is_told_from_that_of_another_event() -> None:
    body = f"Here.\n\n{key_marker('reply:comment:112')}"
    assert answers(body, "comment:112")
    assert not answers(body, "comment:12")
    assert not answers(body, "comment:1")
    assert not answers("reply:comment:112 -->", "comment:112")
