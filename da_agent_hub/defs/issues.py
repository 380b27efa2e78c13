"""Each issue's way: read and planned, investigated, fixed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from ..domain.command import Intent
from ..domain.markdown import escape
from ..domain.tracker_error import NotThere
from . import metadata
from .hub import Hub
from .issue_work import STOP_DONE, STOPPED, EventFailed, IssueWork, Planned, event_by_hand, issue_work
from .lease import LeaseLost, LeaseTaken
from .names import CLAUDE_INVESTIGATIONS, FILED_ISSUES, FIX_PULL_REQUESTS, GITHUB_ISSUES
from .partitions import ISSUES
from .reconcile import sign_run
from .run_requests import RUN_KEY_TAG

GROUP = "issues"
WORKING_MODES = frozenset({"investigate", "fix"})


def issue_assets(projects: Sequence[str]) -> Sequence[dg.AssetsDefinition]:
    """The three assets of every issue; the edges from the projects' filed issues carry lineage only."""
    # Any other mapping would make each issue depend on every day, or be refused at load.
    nothing = dg.SpecificPartitionsPartitionMapping([])
    filed = [dg.AssetDep([project, FILED_ISSUES], partition_mapping=nothing) for project in projects]

    @dg.asset(
        key=GITHUB_ISSUES,
        deps=filed,
        partitions_def=ISSUES,
        group_name=GROUP,
        kinds={"github"},
        description="One GitHub issue and what waits for it: the filing itself, comments, labels and assignments of "
        "people with write permission. Each is planned and answered here, in the order in which it happened.",
    )
    def github_issues(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> dg.MaterializeResult[None]:
        with _work(context, hub) as work:
            try:
                issue = work.issue()
            except NotThere:
                return _gone(work)
            planned = work.plan_waiting(issue)
            told = metadata.thread(work.ref, issue.url, work.record, (CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS))
            told |= {
                "title": dg.MetadataValue.md(escape(issue.title, 300)),
                "state": dg.MetadataValue.text(issue.state),
                "labels": dg.MetadataValue.text(", ".join(issue.labels)),
                "waiting": metadata.table(("what", "by", "when", "plan"), [_row(one) for one in planned], "nothing"),
            }
            told |= work.life(
                issue,
                begins=any(one.plan.investigate for one in planned),
                answered=any(one.plan.reply is not None for one in planned),
            )
            return dg.MaterializeResult(metadata=told)

    @dg.asset(
        key=CLAUDE_INVESTIGATIONS,
        deps=[github_issues],
        partitions_def=ISSUES,
        group_name=GROUP,
        kinds={"dbt"},
        description="What was found out about one issue: the cause, the evidence that bears it out, who should act. "
        "Materialize it by hand to investigate again: the comment in the issue is replaced, not doubled.",
    )
    def claude_investigations(
        context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]
    ) -> dg.MaterializeResult[None]:
        with _work(context, hub) as work:
            try:
                issue = work.issue()
            except NotThere:
                return _gone(work)
            planned = work.plan_waiting(issue)
            for one in planned:
                if one.plan.investigate and not work.is_called_off(one):
                    work.investigate(one)
            if not planned and RUN_KEY_TAG not in context.run.tags and work.project.mode in WORKING_MODES:
                work.investigate_for(event_by_hand(work.ref, work.tracker.login(), hub.now()))
            found = hub.store.investigations(work.key)
            told = metadata.thread(work.ref, issue.url, work.record, (GITHUB_ISSUES, FIX_PULL_REQUESTS))
            told |= metadata.investigation(found[-1] if found else None)
            told["investigations"] = dg.MetadataValue.int(len(found))
            told |= work.life(issue, done=bool(found))
            return dg.MaterializeResult(metadata=told)

    @dg.asset(
        key=FIX_PULL_REQUESTS,
        deps=[claude_investigations],
        partitions_def=ISSUES,
        group_name=GROUP,
        kinds={"github"},
        description="The fix of one issue: a patch that dbt was run on before its pull request was opened, or the "
        "reason why there is none. Finishes what waited for the issue.",
    )
    def fix_pull_requests(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> dg.MaterializeResult[None]:
        with _work(context, hub) as work:
            try:
                issue = work.issue()
            except NotThere:
                return _gone(work)
            outcomes = _fix_and_finish(work)
            hub.workbench.put_away()
            if not hub.store.pending_events(work.key):
                hub.store.clear_requests(work.key)
            fixes = hub.store.fixes(work.key)
            told = metadata.thread(work.ref, issue.url, work.record, (GITHUB_ISSUES, CLAUDE_INVESTIGATIONS))
            told |= metadata.fix(fixes[-1] if fixes else None)
            told |= work.life(issue, done=not hub.store.pending_events(work.key))
            told["finished"] = metadata.table(("what", "by", "when", "plan", "outcome"), outcomes, "nothing waited")
            return dg.MaterializeResult(metadata=told)

    return [github_issues, claude_investigations, fix_pull_requests]


def _fix_and_finish(work: IssueWork) -> Sequence[Sequence[str]]:
    """Deal with what was planned and, where that was wanted, investigated; the rest waits for the next run."""
    outcomes = []
    for one in work.planned():
        investigation = work.store.investigation_for(work.key, one.event.event_id)
        if work.is_called_off(one):
            outcome = STOPPED
        elif one.plan.stop and one.plan.command is not None and one.plan.command.intent is Intent.STOP:
            outcome = STOP_DONE
        elif one.plan.investigate and investigation is None:
            break
        else:
            outcome = one.plan.refused or ("answered" if one.plan.reply else "noted")
            if one.plan.investigate and investigation is not None:
                outcome = f"investigated: {investigation.ending.value}"
            if one.plan.fix:
                ended = [found for found in work.store.investigations(work.key) if found.came_to_its_end]
                known = investigation or (ended[-1] if ended else None)
                fix = work.fix(one, known) if known is not None else None
                if fix is None:
                    if known is not None:
                        continue
                    outcome = "no fix: nothing was found out yet"
                else:
                    outcome += f"; fix: {fix.outcome.value} {fix.pull_request or ''}".rstrip()
                    outcome = f"{STOPPED}, {outcome}" if work.is_called_off(one) else outcome
        work.finish(one, outcome)
        outcomes.append([*_row(one), escape(outcome, 200)])
    return outcomes


@contextmanager
def _work(context: dg.AssetExecutionContext, hub: Hub) -> Iterator[IssueWork]:
    sign_run(context)
    try:
        with issue_work(hub, context.partition_key, context.run_id, context.log) as work:
            yield work
    except (EventFailed, LeaseTaken, LeaseLost, LookupError, ValueError) as error:
        raise dg.Failure(str(error)) from error


def _gone(work: IssueWork) -> dg.MaterializeResult[None]:
    """Somebody deleted or moved the issue: what waits for it has nobody to be told."""
    for event in work.store.pending_events(work.key):
        work.store.finish_event(event.event_id, "the issue is gone")
    work.store.clear_requests(work.key)
    return dg.MaterializeResult(metadata={"issue": f"{work.key} is gone: it was deleted or moved"})


def _row(one: Planned) -> list[str]:
    plan = one.plan
    wanted = [
        word for word, is_so in (("investigate", plan.investigate), ("fix", plan.fix), ("stop", plan.stop)) if is_so
    ]
    what = plan.refused or ", ".join(wanted) or ("reply" if plan.reply else "nothing to do")
    event = one.event
    return [event.kind.value, escape(event.actor, 60), f"{event.happened_at:%Y-%m-%d %H:%M:%S} UTC", escape(what, 200)]
