"""`demo --once`: history in, a comment answered, a fix merged, a new dbt run, an issue closed; safe to begin again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..config import DbtCloudSource, ProjectSettings
from ..domain.error_record import Category, ErrorRecord, RecordState
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
            asked = self._ask_for_pull_request(seen)
        with self._timed("merge"):
            merged = self._merge_one(seen)
        with self._timed("answer"):
            self._await_answer(asked)
        with self._timed("resolve"):
            self._await_closing(merged)
        with self._timed("calm"):
            seen = self._settle("everything to be dealt with")
        if doubled := self.watch.doubled():
            raise Trouble("something exists twice:\n" + "\n".join(doubled))
        return seen

    def _ask_for_pull_request(self, seen: Seen) -> IssueRef | None:
        """Comment on an issue of a project that waits for people, once in the life of a home."""
        modes = {project.name: project.mode for project in self.watch.hub.settings.projects}
        there = [one for one in seen.issues if modes[one.project] == "investigate"]
        for one in there:
            if any(self._is_request(comment) for comment in self.maintainer.comments(one.issue.ref)):
                self.tell(f"{self.maintainer.login} has asked for a pull request in {one.issue.url} before")
                return one.issue.ref
        likely = [one for one in there if one.issue.state == "open" and one.investigation]
        likely.sort(
            key=lambda one: (-len(one.investigation.candidates), one.issue.ref.number) if one.investigation else ()
        )
        if not likely:
            self.tell("no open issue waits for a person's word")
            return None
        chosen = likely[0].issue
        self.tell(f"{self.maintainer.login} comments {REQUEST!r} in {chosen.url}")
        self.maintainer.comment(chosen.ref, f"{REQUEST}, please.")
        self.links["commented issue"] = chosen.url
        return chosen.ref

    def _is_request(self, comment: Mapping[str, object]) -> bool:
        user = comment["user"]
        return isinstance(user, dict) and user["login"] == self.maintainer.login and REQUEST in str(comment["body"])

    def _await_answer(self, asked: IssueRef | None) -> None:
        if asked is None:
            return

        def answered(seen: Seen) -> bool:
            comments = self.maintainer.comments(asked)
            last = max(at for at, comment in enumerate(comments) if self._is_request(comment))
            later = [comment for comment in comments[last + 1 :] if comment["user"]["login"] != self.maintainer.login]
            return bool(later) and not self.watch.hub.store.pending_events(str(asked))

        self._wait(f"the hub to answer in {asked}", answered)

    def _merge_one(self, seen: Seen) -> IssueSeen:
        """Merge a verified pull request and start the dbt job that failed, unless that was done before."""
        offered = [one for one in seen.issues if one.pull_request and one.verified]
        done = [one for one in offered if one.pull_request and one.pull_request.merged]
        waiting = [
            one
            for one in offered
            if one.pull_request and one.pull_request.state == "open" and not one.pull_request.draft
        ]
        # A cause in the code first: its fix is the whole cure.
        waiting.sort(key=lambda one: (one.category != Category.CODE_FIX.value, str(one.issue.ref)))
        if not done and not waiting:
            raise Trouble("no pull request was verified by dbt, so that none can be merged; the issues say why")
        chosen = (done or waiting)[0]
        pull = chosen.pull_request
        assert pull is not None  # offered ones have one
        self.links["merged pull request"] = pull.url
        self.links["resolved issue"] = chosen.issue.url
        if not pull.merged:
            self.tell(f"{self.maintainer.login} merges {pull.url}")
            self.maintainer.merge(pull.ref)
        if self._record(chosen).state is not RecordState.RECOVERED:
            self._start_job(chosen, pull.ref)
        return chosen

    def _start_job(self, chosen: IssueSeen, pull: IssueRef) -> None:
        merged_at = self.maintainer.merged_at(pull)
        record, source = self._record(chosen), self._project(chosen).source
        assert merged_at is not None  # it was merged just now, or before
        if not isinstance(source, DbtCloudSource):
            raise Trouble(f"{chosen.project} has no dbt Cloud job to start")
        person = DbtCloudPerson(source)
        runs = person.runs_since(record.latest.job_id, merged_at)
        if not runs:
            self.tell(f"dbt Cloud job {record.latest.job_id} is started")
            runs = [person.start_job(record.latest.job_id, f"after the merge of {pull}")]
        self._wait(f"dbt run {runs[0]} to finish", lambda seen: person.finished(runs[0]))

    def _await_closing(self, merged: IssueSeen) -> None:
        ref = merged.issue.ref

        def closed(seen: Seen) -> bool:
            if self._record(merged).state is not RecordState.RECOVERED:
                return False
            now = next(one.issue for one in seen.issues if one.issue.ref == ref)
            last = self.maintainer.comments(ref)[-1]
            return now.state == "closed" and last["user"]["login"] == self.watch.hub.tracker(ref.repo).login()

        self._wait(f"the hub to see {merged.issue.url} recovered", closed)

    def _record(self, one: IssueSeen) -> ErrorRecord:
        record = self.watch.hub.store.record_of(str(one.issue.ref))
        if record is None:
            raise Trouble(f"the hub's store knows no error record of {one.issue.url}")
        return record

    def _project(self, one: IssueSeen) -> ProjectSettings:
        project = self.watch.hub.project(one.project)
        assert project is not None  # issues are listed by project
        return project

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
