"""The sensor that reads what people did on GitHub into the inbox."""

from collections.abc import Mapping, Sequence

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.issue import RepoRef
from .hub import Hub


def repos_by_host(projects: Sequence[ProjectSettings]) -> Mapping[str, Sequence[RepoRef]]:
    """Each GitHub host's repositories, without repeats."""
    found: dict[str, dict[RepoRef, None]] = {}
    for project in projects:
        repo = RepoRef.parse(project.repo)
        found.setdefault(repo.host, {})[repo] = None
    return {host: tuple(repos) for host, repos in found.items()}


def activity_sensor(name: str, repos: Sequence[RepoRef], seconds: int) -> dg.SensorDefinition:
    """The sensor of one GitHub host; it asks for no run: the sensor ``inbox`` does, for what it appends."""

    @dg.sensor(
        name=name,
        target=dg.AssetSelection.assets("github_issues"),
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads new issues, comments, labels, assignments, closings and merges into the inbox, with one "
        "conditional request for each quiet repository. Repositories: " + ", ".join(map(str, repos)),
    )
    def issue_activity(context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub]) -> dg.SkipReason:
        told = [_look(context, hub, repo) for repo in repos]
        if not any(told):
            raise dg.Failure("none of the repositories could be read; the tick's log says why")
        return dg.SkipReason("; ".join(one for one in told if one))

    return issue_activity


def activity_sensors(projects: Sequence[ProjectSettings], seconds: int) -> Sequence[dg.SensorDefinition]:
    """``issue_activity``, or with several hosts one for each, numbered in the order of their projects."""
    hosts = repos_by_host(projects)
    return [
        activity_sensor("issue_activity" if len(hosts) == 1 else f"issue_activity_{number}", repos, seconds)
        for number, repos in enumerate(hosts.values(), start=1)
    ]


def _look(context: dg.SensorEvaluationContext, hub: Hub, repo: RepoRef) -> str | None:
    """What was found in a repository, or None where it could not be read: that hides no other."""
    from ..stages.collaborate import read_activity

    try:
        found = read_activity(hub.tracker(repo), hub.store, hub.github(repo), repo, hub.now())
    except Exception as error:
        context.log.error(hub.redact(f"{repo}: {error}"))
        return None
    return (
        f"{repo}: {len(found.moved)} issues moved, {found.new_events} new events" if found.changed else f"{repo}: quiet"
    )
