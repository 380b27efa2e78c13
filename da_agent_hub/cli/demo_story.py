"""`demo --once`: history in, comments answered, fixes merged, new dbt runs, issues closed; safe to begin again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from ..config import DbtCloudSource
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.issue import IssueRef
from .console import Trouble
from .demo_people import DbtCloudPerson, Maintainer
from .services import Services
from .watch import IssueSeen, Seen, Watch

REQUEST = "@claude create PR"
# How long nothing at all may move before a wait is given up: a busy machine is slow, a stuck hub stands still.
STILL_SECONDS = 120.0
_LOOK_EVERY_SECONDS = 1.5
# The inbox is polled every second here; work that follows from work shows up within that.
_CALM_LOOKS = 3


@dataclass
class Story:
    """Tells the story on a running hub: everything is waited for from outside, and nothing done twice."""

    services: Services
    watch: Watch
    maintainer: Maintainer
    tell: Callable[[str], None]
    timings: dict[str, float] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def run(self) -> Seen:
        """All of it; returns how everything stands at the end.

        Raises:
            Trouble: what was waited for in vain, or what happened twice.
        """
        with self._timed("history"):
            seen = self._settle("the history to be read, filed and worked on")
        if not seen.issues:
            raise Trouble("the history led to no issue at all; the logs say why")
        with self._timed("comment"):
            asked = self._ask_for_pull_requests(seen)
        with self._timed("answer"):
            self._await_answers(asked)
        with self._timed("merge"):
            merged = self._merge_all(self.watch.look())
        with self._timed("dbt"):
            self._run_again(merged)
        with self._timed("resolve"):
            self._await_closing(merged)
        with self._timed("calm"):
            seen = self._settle("everything to be dealt with")
        if doubled := self.watch.doubled():
            raise Trouble("something exists twice:\n" + "\n".join(doubled))
        return seen

    def _ask_for_pull_requests(self, seen: Seen) -> Sequence[IssueRef]:
        """Comment where findings announce a fix that waits for people, once in the life of a home; those asked so far."""
        modes = {project.name: project.mode for project in self.watch.hub.settings.projects}
        there = [one for one in seen.issues if modes[one.project] == "investigate"]
        # After the first merge comes the next act, also where a home is opened again.
        over = {one.project for one in there if one.pull_request and one.pull_request.merged}
        asked = []
        for one in there:
            ref, found = one.issue.ref, one.investigation
            if not any(self._is_request(comment) for comment in self.maintainer.comments(ref)):
                if one.project in over or one.issue.state != "open" or not found or not found.candidates:
                    continue
                self.tell(f"{self.maintainer.login} comments {REQUEST!r} in {one.issue.url}")
                self.maintainer.comment(ref, f"{REQUEST}, please.")
            asked.append(ref)
            self.links[f"commented issue {len(asked)}"] = one.issue.url
        if not asked:
            self.tell("no open issue waits for a person's word")
        return asked

    def _is_request(self, comment: Mapping[str, object]) -> bool:
        user = comment["user"]
        return isinstance(user, dict) and user["login"] == self.maintainer.login and REQUEST in str(comment["body"])

    def _await_answers(self, asked: Sequence[IssueRef]) -> None:
        names = ", ".join(map(str, asked))
        self._wait(f"the hub to answer in {names}", lambda _: all(self._is_answered(ref) for ref in asked))

    def _is_answered(self, ref: IssueRef) -> bool:
        if self.watch.hub.store.pending_events(str(ref)):
            return False
        comments = self.maintainer.comments(ref)
        last = max(at for at, comment in enumerate(comments) if self._is_request(comment))
        return any(comment["user"]["login"] != self.maintainer.login for comment in comments[last + 1 :])

    def _merge_all(self, seen: Seen) -> Sequence[IssueSeen]:
        """Merge each verified pull request that GitHub can merge; returns those merged, now or before."""
        merged = []
        for one in sorted(seen.issues, key=lambda one: str(one.issue.ref)):
            pull = one.pull_request
            if pull is None or not one.verified or pull.draft or not (pull.merged or pull.state == "open"):
                continue
            if not pull.merged:
                if not self.maintainer.can_merge(pull.ref):
                    self.tell(f"{pull.url} conflicts with what was merged before, and stays open")
                    continue
                self.tell(f"{self.maintainer.login} merges {pull.url}")
                self.maintainer.merge(pull.ref)
            merged.append(one)
            self.links[f"merged pull request {len(merged)}"] = pull.url
        if not merged:
            raise Trouble("no pull request was verified by dbt, so that none can be merged; the issues say why")
        return merged

    def _run_again(self, merged: Sequence[IssueSeen]) -> None:
        """Start each dbt job that failed, unless it ran since the last merge for it."""
        last_merges: dict[tuple[str, str], datetime] = {}
        for one in merged:
            record = self._record(one)
            merged_at = one.pull_request and self.maintainer.merged_at(one.pull_request.ref)
            if merged_at and record.state is not RecordState.RECOVERED:
                job = one.project, record.latest.job_id
                last_merges[job] = max(merged_at, last_merges.get(job, merged_at))
        runs = [(self._dbt_cloud(job[0]), self._run_since(*job, moment)) for job, moment in last_merges.items()]
        names = ", ".join(run_id for _, run_id in runs)
        self._wait(f"the dbt runs {names} to finish", lambda _: all(person.finished(run) for person, run in runs))

    def _run_since(self, project: str, job_id: str, moment: datetime) -> str:
        person = self._dbt_cloud(project)
        if runs := person.runs_since(job_id, moment):
            return runs[0]
        self.tell(f"dbt Cloud job {job_id} of {project} is started")
        return person.start_job(job_id, "after the merge of fixes")

    def _dbt_cloud(self, name: str) -> DbtCloudPerson:
        project = self.watch.hub.project(name)
        if project is None or not isinstance(project.source, DbtCloudSource):
            raise Trouble(f"{name} has no dbt Cloud job to start")
        return DbtCloudPerson(project.source)

    def _await_closing(self, merged: Sequence[IssueSeen]) -> None:
        names = ", ".join(one.issue.url for one in merged)
        self._wait(f"the hub to see recovered: {names}", lambda seen: all(self._is_closed(seen, one) for one in merged))

    def _is_closed(self, seen: Seen, merged: IssueSeen) -> bool:
        ref = merged.issue.ref
        if self._record(merged).state is not RecordState.RECOVERED:
            return False
        now = next(one.issue for one in seen.issues if one.issue.ref == ref)
        last = self.maintainer.comments(ref)[-1]
        return now.state == "closed" and last["user"]["login"] == self.watch.hub.tracker(ref.repo).login()

    def _record(self, one: IssueSeen) -> ErrorRecord:
        record = self.watch.hub.store.record_of(str(one.issue.ref))
        if record is None:
            raise Trouble(f"the hub's store knows no error record of {one.issue.url}")
        return record

    def _settle(self, what: str) -> Seen:
        return self._wait(what, lambda seen: seen.settled, looks=_CALM_LOOKS)

    def _wait(self, what: str, holds: Callable[[Seen], bool], *, looks: int = 1) -> Seen:
        """Wait until something holds, so many looks in a row."""
        held, progress, moved = 0, None, time.monotonic()
        while True:
            self.services.check()
            seen = self.watch.look()
            self.tell(str(seen))
            held = held + 1 if holds(seen) else 0
            if held >= looks:
                return seen
            if seen.progress != progress:
                progress, moved = seen.progress, time.monotonic()
            if time.monotonic() - moved > STILL_SECONDS:
                raise Trouble(
                    f"waited {STILL_SECONDS:.0f} s for {what}, and nothing moved; it stands at: {seen}. The logs in "
                    f"{self.services.log_folder} say more; call the same command again to go on"
                )
            time.sleep(_LOOK_EVERY_SECONDS)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.timings[step] = round(time.monotonic() - started, 1)


def counts(seen: Seen) -> Mapping[str, int]:
    """How many of what."""
    pulls = [one for one in seen.issues if one.pull_request]
    return {
        "dbt_runs": seen.runs_read,
        "issues": len(seen.issues),
        "issues_closed": sum(one.issue.state == "closed" for one in seen.issues),
        "investigations": sum(one.investigation is not None for one in seen.issues),
        "pull_requests": len(pulls),
        "pull_requests_verified": sum(one.verified for one in pulls),
        "pull_requests_merged": sum(bool(one.pull_request and one.pull_request.merged) for one in pulls),
    }


def steps(timings: Mapping[str, float]) -> Sequence[str]:
    """The timings as words."""
    return [f"{step} {seconds:.0f} s" for step, seconds in timings.items()]
