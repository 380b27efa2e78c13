"""What an empty record store knows again from the issues that the hub filed: links, and what was proved of a category."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import ProjectSettings
from ..domain.error_record import Category, ProvenCategory
from ..domain.issue import Issue, RepoRef
from ..domain.marker import DigestMarker, RecordMarker
from ..ports import IssueTracker, RecordStore
from .record import record_errors


def restore_from_issues(project: ProjectSettings, tracker: IssueTracker, store: RecordStore) -> int:
    """Read the markers of a project's issues, in a store that never filed it; returns how many proofs were found.

    Raises:
        TrackerError: if the repository's issues could not be listed.
    """
    if store.filed_until(project.name) is not None:
        return 0
    return restore(project, tracker.hub_issues(RepoRef.parse(project.repo)), tracker.login(), store)


def restore(project: ProjectSettings, issues: Iterable[Issue], login: str, store: RecordStore) -> int:
    """Take what the markers of some issues tell of this project; only what the hub itself wrote is believed."""
    found = 0
    known = store.proven_categories(project.name)
    for issue in issues:
        if issue.author.lower() != login.lower():
            continue
        digest = DigestMarker.read(issue.body)
        if digest is not None and digest.project == project.name:
            for member in digest.members:
                store.link_issue(member, str(issue.ref))
        marker = RecordMarker.read(issue.body)
        if marker is None or marker.project != project.name:
            continue
        # Oldest first: the newest one is the record's.
        store.link_issue(marker.fingerprint, str(issue.ref))
        proof = _proof(marker)
        if proof is not None and proof.fingerprint not in known:
            store.save_proof(proof)
            found += 1
    if found:
        record_errors(project, store)
    return found


def _proof(marker: RecordMarker) -> ProvenCategory | None:
    if not marker.given_category:
        return None
    try:
        given, category = Category(marker.given_category), Category(marker.category)
    except ValueError:
        return None  # of another version of the hub: the next investigation proves it again
    return ProvenCategory(
        marker.fingerprint, marker.project, marker.episode, given, category, marker.culprit_sha or None
    )
