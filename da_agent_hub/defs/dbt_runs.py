"""The sensor that turns finished dbt runs into a daily run over the days that they fall into."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import dagster as dg
import msgspec

from ..config.settings import DbtCloudSource, ProjectSettings
from ..domain.command import InboxEvent, dbt_account_key
from ..domain.window import Window
from ..ports import DbtRunSummary, RecordStore
from .hub import Hub
from .names import DAILY_JOB, ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS
from .partitions import MOST_DAYS, days_between, range_tags
from .reconcile import reconcile
from .run_requests import IN_FLIGHT, NO_RETRIES, SUBMIT_SECONDS, new_run_key, pause_after, requested_run

# Runs show up in listings late, and with clocks that differ.
OVERLAP = timedelta(hours=2)
# A dbt run that cannot be read is told of on its day's asset; after so many times it is not asked for again.
MOST_TRIES = 3


@dataclass(frozen=True)
class Asked:
    """A request for days of some projects: ``runs`` are the dbt runs, by project, that it is to read."""

    key: str
    at: datetime
    first: str
    last: str
    runs: Mapping[str, Sequence[str]]


@dataclass
class Place:
    """Where the sensor stands: ``tried`` counts, by project and dbt run, how often reading it succeeded without it.

    ``looked`` is when the source was asked last.
    """

    since: dict[str, datetime] = field(default_factory=dict)
    tried: dict[str, dict[str, int]] = field(default_factory=dict)
    asked: Asked | None = None
    looked: datetime | None = None


def days_to_read(
    unread: Mapping[str, Sequence[DbtRunSummary]], again: Asked | None = None
) -> tuple[str, str, Mapping[str, Sequence[str]]] | None:
    """First day, last day and runs by project to ask for: what is unread and what a failed request left; oldest first.

    At most ``MOST_DAYS`` days; what is newer waits for the next request.
    """
    days = [Window.containing(run.finished_at).day for runs in unread.values() for run in runs]
    if again is not None:
        days += [again.first, again.last]
    if not days:
        return None
    first = min(days)
    last = days_between(first, max(days))[:MOST_DAYS][-1]
    runs = {project: list(ids) for project, ids in again.runs.items()} if again is not None else {}
    for project, found in unread.items():
        within = [run.run_id for run in found if Window.containing(run.finished_at).day <= last]
        if within:
            runs[project] = sorted({*runs.get(project, []), *within})
    return first, last, runs


def finished_runs_sensor(
    name: str, projects: Sequence[ProjectSettings], seconds: int, hint_seconds: int | None = None
) -> dg.SensorDefinition:
    """The sensor of one source account, which it asks every ``seconds``.

    With ``hint_seconds`` it looks so often whether a webhook told of an ended run, and then asks at once.
    """
    source = projects[0].source
    account = dbt_account_key(source.account_id) if hint_seconds and isinstance(source, DbtCloudSource) else None

    @dg.sensor(
        name=name,
        job_name=DAILY_JOB,
        minimum_interval_seconds=min(seconds, hint_seconds) if hint_seconds and account else seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lists finished dbt runs; asks for the days of those that were not read and filed yet. Projects: "
        + ", ".join(project.name for project in projects),
    )
    def finished_dbt_runs(
        context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub]
    ) -> dg.RunRequest | dg.SkipReason:
        store, now = hub.store, hub.now()
        reconcile(context.instance, store, now)
        place = _read_place(store, name)
        hints = store.pending_events(account) if account else ()
        if account and not hints and place.looked and now < place.looked + timedelta(seconds=seconds):
            return dg.SkipReason("no webhook told of an ended run, and the account was asked just now")
        again = None
        if place.asked is not None:
            standing = _standing(context.instance, store, name, place.asked, now)
            if standing == "waiting":
                return dg.SkipReason(f"the days {place.asked.first} to {place.asked.last} are being read")
            if standing == "done":
                store.clear_requests(name)
                for project, runs in place.asked.runs.items():
                    tried = place.tried.setdefault(project, {})
                    tried.update({run: tried.get(run, 0) + 1 for run in runs})
            else:
                again = place.asked
            place.asked = None
        place.looked = now
        unread = {
            project.name: _unread(context, hub, project, place, now) for project in _oldest_first(projects, place)
        }
        wanted = days_to_read(unread, again)
        if wanted is None:
            _write_place(store, name, place)
            _finish(store, hints)
            return dg.SkipReason("every finished dbt run is read and filed")
        first, last, wanted_runs = wanted
        key = new_run_key(store, name, now)
        place.asked = Asked(key, now, first, last, wanted_runs)
        _write_place(store, name, place)
        _finish(store, hints)
        return dg.RunRequest(
            run_key=key,
            tags={**range_tags(first, last), **NO_RETRIES},
            asset_selection=[
                dg.AssetKey([project, asset])
                for project in wanted_runs
                for asset in (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)
            ],
        )

    return finished_dbt_runs


def _finish(store: RecordStore, hints: Sequence[InboxEvent]) -> None:
    for hint in hints:
        store.finish_event(hint.event_id, "the account was asked")


def accounts(projects: Sequence[ProjectSettings]) -> Mapping[str, Sequence[ProjectSettings]]:
    """Sensor names to the projects of one source account each."""
    grouped: dict[object, list[ProjectSettings]] = {}
    for project in projects:
        source = project.source
        account = (source.host.rstrip("/"), source.account_id) if isinstance(source, DbtCloudSource) else "dbt_core"
        grouped.setdefault(account, []).append(project)
    if len(grouped) == 1:
        return {"finished_dbt_runs": next(iter(grouped.values()))}
    return {f"finished_dbt_runs_{members[0].name}": members for members in grouped.values()}


def _standing(instance: dg.DagsterInstance, store: RecordStore, scope: str, asked: Asked, now: datetime) -> str:
    run = requested_run(instance, asked.key)
    if run is None:
        return "waiting" if now < asked.at + timedelta(seconds=SUBMIT_SECONDS) else "lost"
    if run.status in IN_FLIGHT:
        return "waiting"
    if run.is_success:
        return "done"
    return "waiting" if now < asked.at + pause_after(store.attempts(scope)) else "failed"


def _oldest_first(projects: Sequence[ProjectSettings], place: Place) -> Sequence[ProjectSettings]:
    """Whoever looks back furthest lists first: that answer holds what the others of the account ask for."""
    begun = datetime.min.replace(tzinfo=timezone.utc)
    return sorted(projects, key=lambda project: place.since.get(project.name, begun))


def _unread(
    context: dg.SensorEvaluationContext, hub: Hub, project: ProjectSettings, place: Place, now: datetime
) -> Sequence[DbtRunSummary]:
    """Runs that are not in the store, or not filed; one project that cannot be listed does not stop the others."""
    beginning = now - timedelta(days=hub.settings.schedule.history_days)
    since = place.since.get(project.name, beginning)
    try:
        listed = hub.source(project).finished_runs(project.name, max(since - OVERLAP, beginning), now)
    except Exception as error:
        context.log.error(hub.redact(f"the dbt runs of {project.name} cannot be listed: {error}"))
        return []
    known = hub.store.known_run_ids(project.name, max(since - OVERLAP, beginning))
    mark = hub.store.filed_until(project.name)
    tried = place.tried.get(project.name, {})
    unread = [run for run in listed if tried.get(run.run_id, 0) < MOST_TRIES and _needs_work(run, known, mark)]
    place.since[project.name] = min((run.finished_at for run in unread), default=now)
    place.tried[project.name] = {run.run_id: tried[run.run_id] for run in listed if run.run_id in tried}
    return unread


def _needs_work(run: DbtRunSummary, known: Set[str], filed_until: datetime | None) -> bool:
    return run.run_id not in known or filed_until is None or run.finished_at >= filed_until


def _read_place(store: RecordStore, name: str) -> Place:
    return msgspec.convert(store.cursor(name), Place)


def _write_place(store: RecordStore, name: str, place: Place) -> None:
    store.set_cursor(name, msgspec.to_builtins(place))
