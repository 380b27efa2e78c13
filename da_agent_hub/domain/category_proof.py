"""A category decided from what a test asserts, set right by what an investigation proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .error_record import Category, ErrorRecord, ProvenCategory
from .investigation import Ending, Investigation

_PROVES = {"code": Category.CODE_FIX, "data": Category.DATA_QUALITY}


def proven_category(record: ErrorRecord, investigation: Investigation) -> ProvenCategory | None:
    """What an investigation proves about the category of a record, or None where it proves nothing about it.

    Only a data quality issue is put to the proof: its class says what a test found, and rows that break a test come
    from a commit as well as from a load. Such a record requires a code fix where a culprit commit was confirmed, and
    counts as data quality again where a later investigation confirms that the data is the cause.

    A code fix is never turned into a data quality issue: its class says that the project's SQL cannot run or be built,
    so the project has to change even where the cause is outside of it (a source's column that was renamed). Transient
    and infrastructure failures are decided from more than one run or from the warehouse's own words, and stay.
    """
    given = record.correction.given if record.correction else record.category
    category = _PROVES.get(investigation.cause_kind)
    confirmed = any(finding.certainty == "confirmed" for finding in investigation.findings)
    if given is not Category.DATA_QUALITY or category is None:
        return None
    if investigation.ending is not Ending.ANSWERED or not confirmed:
        return None
    culprit = investigation.culprit_sha
    if category is Category.CODE_FIX and culprit is None:
        return None
    return ProvenCategory(
        record.fingerprint,
        record.project,
        record.episode,
        given,
        category,
        culprit if category is Category.CODE_FIX else None,
    )


def corrected(records: Iterable[ErrorRecord], proven: Mapping[str, ProvenCategory]) -> tuple[ErrorRecord, ...]:
    """Records with their proven categories; ``proven`` is by fingerprint.

    A proof holds for its own episode, and where the runs themselves say otherwise by now (flaky) they have the last
    word. The priority stays: how soon somebody should look does not depend on who has to act.
    """
    return tuple(_corrected(record, proven.get(record.fingerprint)) for record in records)


def _corrected(record: ErrorRecord, proof: ProvenCategory | None) -> ErrorRecord:
    if proof is None or not proof.corrects or proof.episode != record.episode or proof.given is not record.category:
        return record
    return replace(record, category=proof.category, correction=proof)
