"""Error records from runs: one fold over everything that was seen, whatever the order in which it was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .built_code import BuiltCode
from .classification import OUTAGES, Classification, classify, found_rows
from .dbt import DbtRun, GraphNode, Outcome, ProjectGraph
from .error_record import Category, Downtime, ErrorRecord, Sighting
from .expected_runs import NO_LONGER_SCHEDULED, JobsSeen, Silence, let_go, silences
from .expert_routing import RoutingFacts, first_expert
from .failure import Failure, FailureKind
from .fingerprint import fingerprint
from .grouping import Attribution, Judged
from .priority import Impact, Rule, priority_of
from .recovery import Episode, Observation, Position, episodes, flaky_evidence, same_commit
from .run_failures import failures_of
from .selection import Selection, Subject, name_in, subject_of
from .taxonomy import Taxonomy

_ANY_STEP = "*"
_LINEAGE = frozenset({"model", "seed", "snapshot"})


@dataclass(frozen=True)
class Policy:
    """The project's own settings that records depend on; ``owners`` maps a glob, ``tag:x`` or ``group:x`` to a login."""

    selection: Selection = field(default_factory=Selection)
    priority_rules: Sequence[Rule] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    taxonomy: Taxonomy | None = None


@dataclass
class _Cause:
    """Everything seen of one fingerprint."""

    judged: Judged
    bad: list[Observation] = field(default_factory=list)
    nodes: set[str] = field(default_factory=set)
    steps: set[tuple[str, str]] = field(default_factory=set)


def build_records(
    runs: Iterable[DbtRun],
    graph: ProjectGraph | None,
    policy: Policy = Policy(),
    former: Mapping[str, GraphNode] | None = None,
    looks: Sequence[JobsSeen] = (),
) -> tuple[ErrorRecord, ...]:
    """All records of one project, by first sighting.

    ``former`` holds nodes that failed and that the lineage no longer knows, as an earlier lineage knew them. ``looks``
    tell which jobs were expected to run, and when they were last heard of.
    """
    return _Fold(tuple(runs), graph, policy, former or {}, looks).records()


class _Fold:
    def __init__(
        self,
        runs: Sequence[DbtRun],
        graph: ProjectGraph | None,
        policy: Policy,
        former: Mapping[str, GraphNode],
        looks: Sequence[JobsSeen],
    ) -> None:
        by_id = {run.run_id: run.condensed() for run in runs if policy.selection.wants_run(run)}
        self._runs = sorted(by_id.values(), key=lambda run: (run.finished_at, run.run_id))
        self._graph = graph
        self._policy = policy
        self._former = former
        self._causes: dict[str, _Cause] = {}
        self._subjects: dict[str | None, Subject] = {}
        self._reached: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._members: dict[str, list[tuple[Position, Judged]]] = defaultdict(list)
        self._silences = silences(looks, runs)
        self._let_go = let_go(looks)
        self._job_names = {one.job.job_id: one.job.name for one in self._silences}
        self._step_names: dict[tuple[str, int], str] = {}
        self._job_names |= {run.job_id: run.job_name for run in self._runs}
        self._goods: dict[tuple[str, str], list[tuple[Position, Sighting]]] = defaultdict(list)
        self._parsed: dict[tuple[str, str, str], list[tuple[Position, Sighting]]] = defaultdict(list)
        self._code: dict[str, BuiltCode] = defaultdict(BuiltCode)

    def records(self) -> tuple[ErrorRecord, ...]:
        judged = {run.run_id: self._judged(run) for run in self._runs}
        watched = {one.failure.unique_id for found in judged.values() for one in found if one.failure.unique_id}
        watched |= {after for unique_id in watched if (after := self._successor(unique_id))}
        attributions: dict[str, Attribution] = {}
        for run in self._runs:
            attribution = attributions.setdefault(
                run.environment, Attribution(self._graph, self._code[run.environment])
            )
            self._follow(run, judged[run.run_id], watched, attribution)
        for silence in self._silences:
            self._miss(silence)
        found = [record for cause in self._causes.values() if (record := self._record(cause)) is not None]
        return tuple(sorted(found, key=lambda record: (record.first_seen, record.fingerprint)))

    def _node(self, unique_id: str | None) -> GraphNode | None:
        known = self._graph.get(unique_id) if self._graph else None
        return known or self._former.get(unique_id or "")

    def _judged(self, run: DbtRun) -> list[Judged]:
        selection = self._policy.selection
        found = []
        for failure in failures_of(run, self._graph, warnings=selection.warnings, taxonomy=self._policy.taxonomy):
            node = self._node(failure.unique_id)
            classification = classify(failure, node, self._policy.taxonomy)
            one = Judged(failure, classification, fingerprint(failure, classification, node, self._graph), node)
            if failure.unique_id is None or selection.left_out_by(self._subject(failure.unique_id)) is None:
                found.append(one)
        return found

    def _subject(self, unique_id: str | None) -> Subject:
        """What a failure is about, each node looked up once."""
        if unique_id not in self._subjects:
            self._subjects[unique_id] = subject_of(unique_id or "", self._graph, self._former, self._policy.owners)
        return self._subjects[unique_id]

    def _follow(self, run: DbtRun, judged: Sequence[Judged], watched: set[str], attribution: Attribution) -> None:
        sighting = Sighting(run.run_id, run.url, run.finished_at, run.git_sha)
        failed_in = {(one.failure.step, one.failure.unique_id) for one in judged}
        names = {step.index: step.name for step in run.steps}
        for step in run.steps:
            position = (run.finished_at, run.run_id, step.index)
            if (step.nodes or step.status == "success") and not step.broken:
                self._parsed[(run.environment, run.job_id, step.name)].append((position, sighting))
            if step.nodes:
                self._parsed[(run.environment, run.job_id, _ANY_STEP)].append((position, sighting))
            self._code[run.environment].passed(position, step.passed)
            for result in step.results:
                self._code[run.environment].ran(position, result)
            warned = {result.unique_id for result in step.results if result.outcome is Outcome.WARNED}
            for unique_id in sorted(watched.intersection((*step.passed.unique_ids, *warned))):
                if (step.index, unique_id) not in failed_in:
                    self._goods[(run.environment, unique_id)].append((position, sighting))
                    attribution.good(unique_id, position)
        if run.status == "success":
            self._parsed[(run.environment, run.job_id, "")].append(((run.finished_at, run.run_id, 0), sighting))
        for index in {one.failure.step for one in judged}:
            self._step_names[(run.run_id, index)] = names.get(index, "")
        for one, root in attribution.attribute(run.run_id, judged):
            position = (run.finished_at, run.run_id, one.failure.step)
            cause = self._causes.setdefault(one.fingerprint, _Cause(one))
            cause.bad.append(Observation(position, sighting, one.failure, root))
            cause.judged = one
            if one.failure.unique_id is not None:
                cause.nodes.add(one.failure.unique_id)
            else:
                cause.steps.add((one.failure.job_id, names.get(one.failure.step, "")))
            if root is not None:
                self._members[root].append((position, one))

    def _miss(self, silence: Silence) -> None:
        runs = self._runs_of(silence.job.job_id)
        environment = silence.job.environment or (runs[-1].environment if runs else "")
        if not self._policy.selection.wants_environment(environment):
            return
        last = next((run for run in reversed(runs) if silence.heard and run.finished_at <= silence.heard), None)
        failure = silence.failure(environment, last)
        classification = classify(failure, None, self._policy.taxonomy)
        judged = Judged(failure, classification, fingerprint(failure, classification))
        cause = self._causes.setdefault(judged.fingerprint, _Cause(judged))
        cause.judged = judged
        sighting = Sighting(failure.run_id, failure.run_url, failure.happened_at)
        cause.bad.append(Observation((failure.happened_at, failure.run_id, 0), sighting, failure))

    def _runs_of(self, job_id: str) -> list[DbtRun]:
        return [run for run in self._runs if job_id in ("", run.job_id)]

    def _heard_again(self, cause: _Cause) -> list[Observation]:
        """Runs of a job that was silent, however they ended, and looks at which it was not expected to run any more."""
        failure = cause.judged.failure
        found = [
            Observation(
                (run.finished_at, run.run_id, 0),
                Sighting(run.run_id, run.url, run.finished_at, run.git_sha),
                good=run.status == "success",
            )
            for run in self._runs_of(failure.job_id)
        ]
        said, left = NO_LONGER_SCHEDULED, self._let_go.get(failure.job_id, ())
        return found + [Observation((at, said, 0), Sighting(said, failure.run_url, at), good=False) for at in left]

    def _observations(self, cause: _Cause) -> list[Observation]:
        if cause.judged.failure.kind is FailureKind.MISSED_RUN:
            found = [*self._heard_again(cause), *cause.bad]
            return sorted(found, key=lambda one: (one.position, one.failure is None))
        environment = cause.judged.failure.environment
        goods = {
            seen: sighting
            for unique_id in sorted(cause.nodes)
            for seen, sighting in self._good_of(environment, unique_id)
        }
        for job_id, step in sorted(cause.steps):
            goods |= dict(self._parsed[(environment, job_id, step)])
            if cause.judged.failure.kind in (FailureKind.COMPILE, FailureKind.UNREADABLE):
                # Whichever step ran a node has parsed the project; the job's steps may have been changed with the fix.
                goods |= dict(self._parsed[(environment, job_id, _ANY_STEP)])
            if cause.judged.failure.kind is FailureKind.HOOK:
                # The step may have been renamed, or the operation taken out of the job.
                goods |= dict(self._parsed[(environment, job_id, "")])
        if cause.steps or cause.judged.classification.error_class in OUTAGES:
            # Part of a run got through: the cause was not gone.
            bad_runs = {one.position[1] for one in cause.bad}
            goods = {seen: sighting for seen, sighting in goods.items() if seen[1] not in bad_runs}
        goods |= self._after_removal(cause)
        observed = [Observation(position, sighting) for position, sighting in goods.items()]
        return sorted([*observed, *cause.bad], key=lambda one: (one.position, one.failure is None))

    def _good_of(self, environment: str, unique_id: str) -> list[tuple[Position, Sighting]]:
        goods = self._goods[(environment, unique_id)]
        if self._graph is None or not self._graph.nodes or unique_id in self._graph.nodes:
            return goods
        successor = self._successor(unique_id)
        return goods + (self._goods[(environment, successor)] if successor else [])

    def _after_removal(self, cause: _Cause) -> dict[Position, Sighting]:
        """A node that left the project cannot run any more: a later run of its job on other code speaks for it."""
        if self._graph is None or not self._graph.nodes or not cause.nodes:
            return {}
        if any(one in self._graph.nodes or self._successor(one) for one in cause.nodes):
            return {}
        last = max(cause.bad, key=lambda one: one.position)
        jobs = sorted({one.failure.job_id for one in cause.bad if one.failure})
        return {
            position: sighting
            for job_id in jobs
            for position, sighting in self._parsed[(cause.judged.failure.environment, job_id, _ANY_STEP)]
            if position > last.position and sighting.git_sha and sighting.git_sha != last.sighting.git_sha
        }

    def _successor(self, unique_id: str) -> str | None:
        """The test that now asserts the same of the same column: dbt renames a test when its arguments change."""
        former = self._former.get(unique_id)
        if self._graph is None or former is None or former.test is None or former.test.attached_node is None:
            return None
        spec = former.test
        for child in self._graph.children.get(former.test.attached_node, ()):
            now = self._graph.nodes[child].test
            same = now and (now.name, now.attached_node, now.column) == (spec.name, spec.attached_node, spec.column)
            if same and child not in self._former:
                return child
        return None

    def _record(self, cause: _Cause) -> ErrorRecord | None:
        observations = self._observations(cause)
        classification = cause.judged.classification
        evidence = flaky_evidence(observations, self._unchanged(cause)) if cause.nodes else None
        category = Category.TRANSIENT if evidence else classification.category
        # One run shows that the schedule runs again.
        enough = 1 if cause.judged.failure.kind is FailureKind.MISSED_RUN else None
        found = episodes(observations, category, enough)
        visible = [number for number, episode in enumerate(found) if episode.stands_alone]
        if not visible:
            return None
        episode, number = found[visible[-1]], len(visible)
        own = [one for one in found[: visible[-1] + 1] if one.stands_alone]
        failures = [seen for one in own for seen in one.failures]
        downtimes = tuple(Downtime(one.failures[0].sighting, one.recovered) for one in own)
        return self._described(cause, classification, category, evidence, episode, number, failures, downtimes)

    def _unchanged(self, cause: _Cause) -> Callable[[Observation, Observation], bool]:
        """Tells whether the code of a cause's nodes, and of all that they read, was the same at two observations."""
        code = self._code[cause.judged.failure.environment]
        nodes = [node for unique_id in cause.nodes if (node := self._node(unique_id))]
        made_of = set(cause.nodes) | {parent for node in nodes for parent in node.depends_on}
        if self._graph is not None:
            made_of |= {one for unique_id in list(made_of) for one in self._graph.ancestors(unique_id)}

        def unchanged(before: Observation, after: Observation) -> bool:
            # Without lineage, what a node reads is not known, and only the commit says that nothing of it changed.
            by_code = len(nodes) == len(cause.nodes) and code.unchanged(made_of, before.position, after.position)
            return same_commit(before, after) or by_code

        return unchanged

    def _described(
        self,
        cause: _Cause,
        classification: Classification,
        category: Category,
        evidence: str | None,
        episode: Episode,
        number: int,
        seen: Sequence[Observation],
        downtimes: tuple[Downtime, ...],
    ) -> ErrorRecord:
        newest = seen[-1].failure
        assert newest is not None
        is_outage = classification.error_class in OUTAGES
        judged = cause.judged
        subjects = tuple(sorted(cause.nodes)) if is_outage else _impacted(judged)
        began, over = episode.failures[0].position[0], episode.recovered.at if episode.recovered else None
        followers = [
            (at, one)
            for at, one in self._members[judged.fingerprint]
            if began <= at[0] and (over is None or at[0] < over)
        ]
        members = {one.failure.unique_id for _, one in followers} | (cause.nodes if is_outage else set())
        members -= {None} | (set() if is_outage else cause.nodes)
        last_run = [one.failure for at, one in followers if at[1] == newest.run_id] + [
            one.failure for one in seen if one.failure and one.sighting.run_id == newest.run_id
        ]
        downstream, exposures = self._reach(subjects)
        whole_job = newest.unique_id is None and not is_outage
        if whole_job and self._graph is not None:
            exposures = tuple(sorted(one for one in self._graph.nodes if one.startswith("exposure.")))
        tags = self._subject(judged.failure.unique_id).tags
        impact = Impact(
            newest.environment,
            category,
            classification.error_class,
            tuple(tags),
            exposures,
            downstream,
            whole_job,
            newest.severity,
        )
        priority, reason = priority_of(impact, self._policy.priority_rules)
        adapter = self._graph.adapter_type if self._graph else ""
        facts = RoutingFacts(classification.error_class, category, newest.kind, adapter)
        rule = classification.rule if evidence is None else f"{classification.rule}; flaky, because it {evidence}"
        return ErrorRecord(
            fingerprint=judged.fingerprint,
            project=newest.project,
            environment=newest.environment,
            node=None if is_outage else newest.unique_id,
            title=self._title(judged, classification, len(cause.nodes)),
            error_class=classification.error_class,
            category=category,
            priority=priority,
            latest=newest,
            first_seen=seen[0].sighting.at,
            last_seen=seen[-1].sighting.at,
            occurrences=len({one.sighting.run_id for one in seen}),
            state=episode.state,
            good_runs=episode.good_runs,
            episode=number,
            last_good=episode.last_good,
            first_bad=episode.failures[0].sighting,
            recovered=episode.recovered,
            code_changed_since=episode.code_changed,
            flaky_evidence=evidence,
            members=tuple(sorted(one for one in members if one)),
            skipped=tuple(sorted({one for failure in last_run for one in failure.skipped})),
            downstream=downstream,
            exposures=exposures,
            owner=self._subject(judged.failure.unique_id).owner,
            tags=tuple(dict.fromkeys(tags)),
            complexity=min(10, classification.complexity + (1 if len(downstream) > 10 else 0)),
            confidence=classification.confidence,
            rule=rule,
            priority_reason=reason,
            job_name=self._job_names.get(newest.job_id, ""),
            step_name=self._step_names.get((newest.run_id, newest.step), ""),
            downtimes=downtimes,
            expert=first_expert(facts)[0],
        )

    def _reach(self, subjects: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Models, seeds and snapshots downstream, nearest first, and the exposures downstream."""
        if self._graph is None:
            return (), ()
        if subjects not in self._reached:
            below = dict.fromkeys(one for subject in subjects for one in self._graph.descendants(subject))
            kinds = {one: self._graph.nodes[one].resource_type for one in below if one in self._graph.nodes}
            downstream = tuple(one for one in below if kinds.get(one) in _LINEAGE)
            exposures = tuple(sorted(one for one in below if kinds.get(one) == "exposure"))
            self._reached[subjects] = downstream, exposures
        return self._reached[subjects]

    def _title(self, judged: Judged, classification: Classification, nodes: int) -> str:
        failure, words = judged.failure, classification.error_class.replace("_", " ")
        if classification.error_class in OUTAGES:
            return f"{words} in {failure.environment or failure.project}" + (f" ({nodes} nodes)" if nodes > 1 else "")
        if failure.unique_id is None:
            about = f" {classification.about}" if classification.about else ""
            return f"{failure.path or self._job_names[failure.job_id]}: {words}{about}"
        subject = self._node(judged.subject)
        name = subject.name if subject else name_in(judged.subject or failure.unique_id)
        where = f"{name}.{classification.about}" if classification.about and _found_rows(failure) else name
        about = f" {classification.about}" if classification.about and not _found_rows(failure) else ""
        return f"{where}: {words}{about}"


def _impacted(judged: Judged) -> tuple[str, ...]:
    """Where the impact of a failure begins: the nodes that a test reads, else the failing node."""
    if judged.node is not None and judged.node.test is not None and judged.node.test.attached_node is None:
        return judged.node.depends_on
    return (judged.subject,) if judged.subject else ()


def _found_rows(failure: Failure) -> bool:
    return failure.kind is FailureKind.TEST and found_rows(failure)
