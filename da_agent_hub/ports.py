"""What the stages need of the outside world; adapters fulfil these, tests bring fakes that pass the same contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from .domain.command import InboxEvent
from .domain.dbt import DbtRun, ProjectGraph
from .domain.error_record import ErrorRecord, ProvenCategory
from .domain.expected_runs import DbtJob, JobsSeen
from .domain.fix_proposal import FixProposal
from .domain.investigation import FileChange, Investigation, InvestigationCase
from .domain.issue import Comment, Issue, IssueDraft, IssueRef, PullRequest, RepoRef, TimelineEvent
from .domain.life_cycle import Life


@dataclass(frozen=True)
class DbtRunSummary:
    """A finished dbt run in a listing, before its steps are read; ``status`` as in ``DbtRun``."""

    project: str
    run_id: str
    job_id: str
    job_name: str
    status: str
    finished_at: datetime
    url: str


class DbtRunSource(Protocol):
    """Where a project's finished dbt runs come from: dbt Cloud, or the artifacts of dbt Core."""

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        """Runs that finished in ``[since, until)``, oldest first; CI runs are left out."""

    def read_run(self, project: str, run_id: str) -> DbtRun:
        """All steps of a run; what cannot be read is said in ``DbtRun.unread``, never raised for one broken file."""

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        """The lineage as of a run, or None where the run left no manifest."""

    def jobs(self, project: str) -> Sequence[DbtJob]:
        """The project's jobs with their schedules, those for pull requests left out; empty where nothing is known."""

    def going_jobs(self, project: str) -> frozenset[str]:
        """Ids of jobs of which a run waits, starts or runs at this moment."""


class IssueTracker(Protocol):
    """One GitHub host. Writes raise; reads may be retried by the adapter."""

    def login(self) -> str:
        """The hub's own login."""

    def issue(self, ref: IssueRef) -> Issue:
        """One issue (or pull request)."""

    def hub_issues(self, repo: RepoRef) -> Sequence[Issue]:
        """Every issue of the repository, open or closed, that carries the label ``dbt-error``."""

    def create_issue(self, repo: RepoRef, draft: IssueDraft) -> Issue:
        """Open an issue; the caller has looked for its marker first."""

    def update_issue(
        self,
        ref: IssueRef,
        *,
        title: str | None = None,
        body: str | None = None,
        state: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> Issue:
        """Change what is given; ``labels`` replaces the whole set."""

    def ensure_labels(self, repo: RepoRef, labels: Mapping[str, tuple[str, str]]) -> None:
        """Create the labels that the repository lacks: name to (hex colour, description)."""

    def comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        """The thread, oldest first."""

    def add_comment(self, ref: IssueRef, body: str) -> Comment:
        """Post; the caller has looked for its marker first."""

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace a comment's body."""

    def react(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        """Add a reaction (``eyes``) to a comment; doing it twice changes nothing."""

    def reviews(self, ref: IssueRef) -> Sequence[Comment]:
        """What was said with the submitted reviews of a pull request, oldest first; they take no reactions."""

    def review_comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        """What was said on lines of a pull request, oldest first."""

    def react_to_review_comment(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        """As ``react``, for a comment on a line."""

    def events(self, ref: IssueRef) -> Sequence[TimelineEvent]:
        """Labels, assignments, closings, reopenings and merges, oldest first."""

    def changed_issues(
        self, repo: RepoRef, since: datetime | None, etag: str | None
    ) -> tuple[Sequence[Issue] | None, str | None]:
        """Issues and pull requests updated since, oldest first, with the new ETag; None where nothing changed (304)."""

    def permission(self, repo: RepoRef, login: str) -> str:
        """``admin``, ``write``, ``read`` or ``none``; ``none`` for a user that does not exist."""

    def can_be_assigned(self, repo: RepoRef, login: str) -> bool:
        """Whether GitHub would accept this assignee."""

    def default_branch(self, repo: RepoRef) -> tuple[str, str]:
        """The default branch's name and its head's SHA."""

    def commit_files(
        self, repo: RepoRef, *, base_sha: str, branch: str, changes: Sequence[FileChange], message: str
    ) -> str:
        """One commit on ``base_sha`` through the Git Data API, with ``branch`` made or moved to it; returns the SHA.

        Files keep their mode. Raises ``Refused`` for the default branch, any branch outside ``claude/`` and a path that
        is no plain file, and ``ForeignWork`` where somebody else's commit is on the branch.
        """

    def pull_request_for_branch(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """The newest pull request with this head branch, in any state."""

    def pull_request(self, ref: IssueRef) -> PullRequest:
        """One pull request."""

    def open_pull_request(
        self, repo: RepoRef, *, title: str, body: str, head: str, base: str, draft: bool, labels: Sequence[str]
    ) -> PullRequest:
        """Open a pull request; the caller has looked for one of this head first."""

    def update_pull_request(self, ref: IssueRef, *, title: str | None = None, body: str | None = None) -> PullRequest:
        """Change a pull request's text."""


class RecordStore(Protocol):
    """The hub's memory. Every method is one transaction and safe to repeat."""

    # what dbt said
    def remember_run(self, run: DbtRun) -> None:
        """Keep a run, condensed; the same run twice changes nothing but a repaired ``unread``."""

    def known_run_ids(self, project: str, since: datetime) -> frozenset[str]:
        """Runs that were read, by finish time."""

    def runs(self, project: str, since: datetime | None = None, until: datetime | None = None) -> Sequence[DbtRun]:
        """Kept runs, condensed, by finish time, oldest first; ``[since, until)``."""

    def save_graph(self, project: str, run_id: str, as_of: datetime, graph: ProjectGraph) -> None:
        """Keep a project's lineage (one a project and day is enough)."""

    def latest_graph(self, project: str, until: datetime | None = None) -> ProjectGraph | None:
        """The newest kept lineage."""

    def graph_commit(self, project: str, until: datetime) -> str | None:
        """The commit that the newest lineage kept before ``until`` is of; None where there is none or it is unknown."""

    def remember_jobs(self, seen: JobsSeen) -> None:
        """Keep a look at a project's jobs; the first look of a moment stays."""

    def jobs_seen(self, project: str, until: datetime | None = None) -> Sequence[JobsSeen]:
        """Kept looks, oldest first, up to and with ``until``."""

    # error records
    def save_records(self, project: str, records: Sequence[ErrorRecord]) -> None:
        """Replace the project's records by these: records are a function of the runs seen."""

    def records(self, project: str | None = None) -> Sequence[ErrorRecord]:
        """All records, or one project's."""

    def record(self, fingerprint: str) -> ErrorRecord | None:
        """One record."""

    # the way to GitHub
    def link_issue(self, fingerprint: str, issue_key: str) -> None:
        """Remember the newest issue of a record; of several records that one issue has, the first stands for all."""

    def issue_of(self, fingerprint: str) -> str | None:
        """The newest issue key of a record."""

    def record_of(self, issue_key: str) -> ErrorRecord | None:
        """The record that an issue was filed for, or that stands for all of a digest's."""

    def life(self, issue_key: str) -> Life | None:
        """Where an issue is in its life."""

    def save_life(self, life: Life) -> None:
        """Keep it in place of what was kept."""

    def lives(self, project: str, since: datetime) -> Sequence[Life]:
        """Lives of a project's issues that were opened, or opened again, since."""

    def filed_until(self, project: str) -> datetime | None:
        """Up to when the project's records were filed as issues."""

    def set_filed_until(self, project: str, until: datetime) -> None:
        """Move that mark; it never moves back."""

    # inbox
    def add_events(self, events: Iterable[InboxEvent]) -> int:
        """Append those not yet there; returns how many were new."""

    def pending_events(self, issue_key: str) -> Sequence[InboxEvent]:
        """What waits for an issue, in order of happening."""

    def pending_issues(self) -> Sequence[str]:
        """Issue keys with something waiting, oldest first."""

    def finish_event(self, event_id: str, outcome: str) -> None:
        """Mark an event as dealt with and how."""

    def plan_of(self, event_id: str) -> dict[str, Any] | None:
        """What was decided to do about an event; None where nothing was decided yet."""

    def save_plan(self, event_id: str, plan: Mapping[str, Any]) -> None:
        """Keep that decision; the first one stays, so that a repeat does the same."""

    def note_event_failure(self, event_id: str) -> int:
        """Count that dealing with an event raised; returns how often it did."""

    def event_failures(self, issue_key: str) -> int:
        """The most often that one waiting event of an issue raised."""

    def attempts(self, scope: str) -> int:
        """How many runs were requested since the work was last done."""

    def request_stop(self, issue_key: str) -> None:
        """Raise the flag that a working investigation reads at each step."""

    def stop_requested(self, issue_key: str) -> bool:
        """Whether that flag is up."""

    def clear_stop(self, issue_key: str) -> None:
        """Lower it."""

    # leases: one worker a scope (an issue key, or ``project:<name>``), whatever Dagster does
    def acquire_lease(self, scope: str, holder: str, now: datetime, seconds: float) -> bool:
        """Take or renew a scope; False where somebody else holds it and it has not expired."""

    def release_lease(self, scope: str, holder: str) -> None:
        """Give a scope back; somebody else's lease is left alone."""

    def leases(self) -> Mapping[str, tuple[str, datetime]]:
        """Scope to (holder, expiry)."""

    # runs asked of Dagster, so that a run that died is asked for again
    def note_request(self, scope: str, now: datetime) -> int:
        """Count and remember that a run was requested; returns the attempt, from 1."""

    def last_request(self, scope: str) -> tuple[int, datetime] | None:
        """The newest attempt and when it was asked for."""

    def clear_requests(self, scope: str) -> None:
        """The work is done: the next request is attempt 1 of a new generation (its key still never repeats)."""

    # investigations and fixes
    def save_investigation(self, issue_key: str, key: str, investigation: Investigation) -> None:
        """Keep; ``key`` names what asked for it (an event id), so that a repeat replaces itself.

        What it proved about its record's category is kept with it, and replaces what an earlier one had proved.
        """

    def save_proof(self, proven: ProvenCategory) -> None:
        """Keep what an investigation proved that this store does not hold; the newest proof of a record stays."""

    def proven_categories(self, project: str) -> Mapping[str, ProvenCategory]:
        """What was proved last about the category of each record, by fingerprint."""

    def investigations(self, issue_key: str) -> Sequence[Investigation]:
        """Oldest first."""

    def save_fix(self, issue_key: str, key: str, fix: FixProposal) -> None:
        """Keep; as for investigations."""

    def fixes(self, issue_key: str) -> Sequence[FixProposal]:
        """Oldest first."""

    def issue_of_pull_request(self, pull_request_key: str) -> str | None:
        """The issue whose fix a pull request is."""

    def investigation_for(self, issue_key: str, key: str) -> Investigation | None:
        """The investigation that ``key`` (an event id) asked for, so that a repeat need not pay for it twice."""

    def fix_for(self, issue_key: str, key: str) -> FixProposal | None:
        """As for investigations."""

    # the rest
    def cursor(self, name: str) -> dict[str, Any]:
        """A poller's place; empty at first."""

    def set_cursor(self, name: str, value: Mapping[str, Any]) -> None:
        """Move it."""


@dataclass(frozen=True)
class DbtResult:
    """One dbt command in a workbench: ``statuses`` maps unique ids to dbt's status; ``log`` is capped.

    ``compiled`` holds the SQL that dbt made of each node it ran, by unique id.
    """

    command: str
    ok: bool
    statuses: Mapping[str, str]
    messages: Mapping[str, str]
    log: str
    seconds: float
    timed_out: bool = False
    compiled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class QueryResult:
    """Rows of one SELECT, capped; ``error`` is the warehouse's message where it failed."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    truncated: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Commit:
    """A commit of the repository; ``paths`` are those it touched, relative to the repository."""

    sha: str
    author: str
    committed_at: datetime
    subject: str
    paths: tuple[str, ...] = ()


class Workbench(Protocol):
    """A private checkout of a project's repository, with dbt and a warehouse that production never sees.

    Paths are relative to the repository; ``dbt_directory`` is the dbt project inside it. dbt runs as a subprocess with
    an allow-listed environment, its own profile and target, and time and output limits.
    """

    root: Path
    dbt_directory: str
    target: str
    can_run_dbt: bool
    # Where the history was cloned in part: its oldest commit and that commit's day.
    history_begins: str | None

    def checkout(self, sha: str) -> None:
        """Move the checkout to a commit, with nothing left over from before."""

    def head(self) -> str:
        """The commit that is checked out."""

    def read(self, path: str) -> str | None:
        """A file's text, or None where there is none."""

    def apply(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the checkout; raises where a path leaves it."""

    def diff(self) -> str:
        """The real ``git diff`` of the checkout against its commit, new files included."""

    def commits(self, since: str | None, until: str, paths: Sequence[str] = ()) -> Sequence[Commit]:
        """Commits in ``since..until``, newest first, that touch one of the paths (any, where none is given)."""

    def show(self, sha: str, paths: Sequence[str] = ()) -> str:
        """A commit's diff, limited to paths."""

    def read_at(self, sha: str, path: str) -> str | None:
        """A file's text at a commit."""

    def dbt(self, *arguments: str, timeout: float = 300.0) -> DbtResult:
        """Run dbt in the checkout; the result carries node statuses from run_results where dbt wrote them."""

    def graph(self) -> ProjectGraph | None:
        """The lineage of what is checked out, by ``dbt parse``; None where it does not parse."""

    def query(self, sql: str, limit: int = 50) -> QueryResult:
        """One read-only SELECT (Jinja allowed: it is compiled by dbt) against the private warehouse."""

    def reset_warehouse(self) -> None:
        """Put the private warehouse back to what production holds now."""

    def close(self) -> None:
        """Remove the checkout and end its processes."""


class Investigator(Protocol):
    """Finds the cause of one record: the playbooks, or Claude."""

    name: str

    def investigate(self, case: InvestigationCase, graph: ProjectGraph | None, bench: Workbench) -> Investigation:
        """Never raises for what it could not find out: that is an Inconclusive investigation that says why."""


class Notifier(Protocol):
    """Somewhere else to tell people."""

    def notify(self, title: str, text: str, url: str | None = None) -> None:
        """Say it once; a failure is logged, never raised."""
