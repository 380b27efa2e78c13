"""What the hub has done so far, read from outside: from GitHub over HTTP and from the hub's store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ..config import HubSettings, ProjectSettings
from ..defs.hub import Hub
from ..domain.fix_proposal import FixProposal
from ..domain.investigation import Investigation
from ..domain.issue import Issue, IssueRef, PullRequest, RepoRef


@dataclass(frozen=True)
class IssueSeen:
    """An issue of the hub with the newest of what the hub found and proposed for it."""

    project: str
    issue: Issue
    investigation: Investigation | None
    fix: FixProposal | None
    pull_request: PullRequest | None

    @property
    def category(self) -> str:
        """As the label on GitHub says it."""
        labels = (label.partition("category:")[2] for label in self.issue.labels)
        return next((label for label in labels if label), "")

    @property
    def verified(self) -> bool:
        """Whether dbt ran on the patch, and passed, before its pull request was opened."""
        return bool(self.fix and self.fix.verification and self.fix.verification.passed)


@dataclass(frozen=True)
class Seen:
    """One look: dbt runs that exist and that were read, issues, and how many of them have something waiting."""

    runs: int
    runs_read: int
    filed: bool
    issues: tuple[IssueSeen, ...]
    waiting: int
    working: int

    @property
    def settled(self) -> bool:
        """Whether all that happened so far has been dealt with."""
        return self.filed and self.runs == self.runs_read and not self.waiting and not self.working

    @property
    def progress(self) -> tuple[int, ...]:
        """What only moves when something gets done."""
        return (
            self.runs_read,
            self.waiting,
            len(self.issues),
            sum(one.issue.state == "closed" for one in self.issues),
            sum(one.investigation is not None for one in self.issues),
            sum(one.pull_request is not None for one in self.issues),
        )

    def __str__(self) -> str:
        investigated = sum(one.investigation is not None for one in self.issues)
        pulls = sum(one.pull_request is not None for one in self.issues)
        closed = sum(one.issue.state == "closed" for one in self.issues)
        return (
            f"dbt runs read {self.runs_read}/{self.runs}, issues {len(self.issues)} ({closed} closed), "
            f"investigated {investigated}, pull requests {pulls}, waiting {self.waiting}, at work {self.working}"
        )


class Watch:
    """Looks, and never touches."""

    def __init__(self, settings: HubSettings) -> None:
        self.hub = Hub(settings)
        self._since = datetime.now(timezone.utc) - timedelta(days=settings.schedule.history_days)

    def look(self) -> Seen:
        """Where everything stands now."""
        store, now = self.hub.store, datetime.now(timezone.utc)
        runs, read, filed = 0, 0, True
        for project in self.hub.settings.projects:
            finished = self.hub.source(project).finished_runs(project.name, self._since, now)
            known = store.known_run_ids(project.name, self._since)
            runs += len(finished)
            read += sum(run.run_id in known for run in finished)
            until = store.filed_until(project.name)
            filed = filed and (not finished or (until is not None and until > finished[-1].finished_at))
        working = sum("#" in scope and expiry > now for scope, (_, expiry) in store.leases().items())
        return Seen(runs, read, filed, tuple(self.issues()), len(store.pending_issues()), working)

    def issues(self) -> Iterator[IssueSeen]:
        """Every issue of the hub on GitHub, by project and number."""
        for project in self.hub.settings.projects:
            repo = RepoRef.parse(project.repo)
            for issue in self.hub.tracker(repo).hub_issues(repo):
                record = self.hub.store.record_of(str(issue.ref))
                if record is None or record.project == project.name:
                    yield self._seen(project, issue)

    def _seen(self, project: ProjectSettings, issue: Issue) -> IssueSeen:
        investigations = self.hub.store.investigations(str(issue.ref))
        fixes = self.hub.store.fixes(str(issue.ref))
        opened = [fix.pull_request for fix in fixes if fix.pull_request]
        pull_request = self.hub.tracker(issue.ref.repo).pull_request(IssueRef.parse(opened[-1])) if opened else None
        with_pull = [fix for fix in fixes if fix.pull_request] or list(fixes)
        return IssueSeen(
            project.name,
            issue,
            investigations[-1] if investigations else None,
            with_pull[-1] if with_pull else None,
            pull_request,
        )

    def doubled(self) -> Sequence[str]:
        """What exists more than once on GitHub and should not, a sentence each; empty where all is well."""
        sentences = []
        for project in self.hub.settings.projects:
            repo = RepoRef.parse(project.repo)
            tracker = self.hub.tracker(repo)
            titles: Counter[str] = Counter()
            branches: Counter[str] = Counter()
            for issue in tracker.hub_issues(repo):
                record = self.hub.store.record_of(str(issue.ref))
                titles[record.fingerprint if record else issue.title] += 1
                bodies = Counter(comment.body for comment in tracker.comments(issue.ref))
                sentences += [f"{issue.url}: a comment stands there {n} times" for n in bodies.values() if n > 1]
            for issue in tracker.changed_issues(repo, None, None)[0] or ():
                if issue.is_pull_request:
                    branches[tracker.pull_request(issue.ref).head_branch] += 1
            sentences += [f"{repo}: {n} issues for {what}" for what, n in titles.items() if n > 1]
            sentences += [f"{repo}: {n} pull requests of {what}" for what, n in branches.items() if n > 1]
        return sentences
