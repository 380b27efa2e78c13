"""Which failures become records: the project's filters, each of which can say what it left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property

from .dbt import DbtRun, GraphNode, NodeResult, Outcome, Owner, ProjectGraph


@dataclass(frozen=True)
class Subject:
    """What filters ask of a failing node: of itself and, of a test, of the node that it tests.

    ``assigned`` is the settings' map of a glob on names, ``tag:x`` or ``group:x`` to a login.
    """

    unique_id: str
    nodes: tuple[GraphNode, ...] = ()
    graph: ProjectGraph | None = None
    assigned: Mapping[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names, from the unique id where the lineage does not know the node."""
        return tuple(node.name for node in self.nodes) or (name_in(self.unique_id),)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags."""
        return tuple(tag for node in self.nodes for tag in node.tags)

    @property
    def resource_types(self) -> tuple[str, ...]:
        """What the failing node itself is: a test stays a test, whatever it tests."""
        return (self.unique_id.split(".", 1)[0],)

    @property
    def packages(self) -> tuple[str, ...]:
        """The dbt package that the failing node itself is of."""
        return tuple(self.unique_id.split(".")[1:2])

    @property
    def login(self) -> str | None:
        """Whom the settings assign, without ``@``."""
        groups = (f"group:{node.group}" for node in self.nodes if node.group)
        keys = [*self.names, *(f"tag:{tag}" for tag in self.tags), *groups]
        found = (
            login for pattern, login in (self.assigned or {}).items() if any(fnmatchcase(one, pattern) for one in keys)
        )
        return next((login.lstrip("@") for login in found), None)

    @cached_property
    def exposures(self) -> tuple[GraphNode, ...]:
        """Exposures downstream, nearest first; of a test that is of no one node, those of all that it reads."""
        if self.graph is None:
            return ()
        several = [node.depends_on for node in self.nodes if node.test and node.test.attached_node is None]
        starts = [*(node.unique_id for node in self.nodes), *(one for read in several for one in read)]
        below = dict.fromkeys(one for start in starts for one in self.graph.descendants(start))
        return tuple(self.graph.nodes[one] for one in below if one.startswith("exposure.") and one in self.graph.nodes)

    @property
    def owner(self) -> Owner | None:
        """Whom the settings assign, else who owns what is tested, or what failed, else the nearest exposure's owner."""
        if self.login:
            return Owner(name=self.login, github=self.login)
        own = [node.owner for node in reversed(self.nodes) if node.owner is not None]
        using = [replace(one.owner, exposure=one.name) for one in self.exposures if one.owner is not None]
        return next(iter((*own, *using)), None)

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """Groups, and owners by name, e-mail and login: of the nodes, of exposures downstream, and from the settings."""
        owners = [node.owner for node in (*self.nodes, *self.exposures) if node.owner is not None]
        told = [one for owner in owners for one in (owner.name, owner.email, owner.github)]
        return tuple(one for one in (self.login, *(node.group for node in self.nodes), *told) if one)


def subject_of(
    unique_id: str,
    graph: ProjectGraph | None,
    former: Mapping[str, GraphNode] | None = None,
    assigned: Mapping[str, str] | None = None,
) -> Subject:
    """A failing node as filters see it; ``former`` holds nodes that the lineage no longer knows."""

    def known(one: str | None) -> GraphNode | None:
        return (graph.get(one) if graph else None) or (former or {}).get(one or "")

    node = known(unique_id)
    tested = known(node.test.attached_node) if node is not None and node.test is not None else None
    return Subject(unique_id, tuple(one for one in (node, tested) if one is not None), graph, assigned)


@dataclass(frozen=True)
class Match:
    """Patterns on what a failing node is: shell globs, upper and lower case alike. What is empty asks for nothing."""

    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    owners: Sequence[str] = ()
    resource_types: Sequence[str] = ()
    packages: Sequence[str] = ()

    def asked(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each field that asks for something, with its patterns."""
        return ((one.name, patterns) for one in fields(self) if (patterns := getattr(self, one.name)))


@dataclass(frozen=True)
class Selection:
    """Which failures become records: what meets every field of ``include`` and no field of ``exclude``."""

    warnings: bool = False
    include: Match = Match()
    exclude: Match = Match()
    environments: Sequence[str] = ()
    exclude_environments: Sequence[str] = ()

    def wants_run(self, run: DbtRun) -> bool:
        """Whether the run's environment is monitored."""
        return self.wants_environment(run.environment)

    def wants_environment(self, name: str) -> bool:
        """Whether an environment is monitored."""
        return self.environment_left_out_by(name) is None

    def environment_left_out_by(self, name: str) -> str | None:
        """The setting that leaves an environment out, as ``key: patterns``; None where it is monitored."""
        if out := first_match([name], self.exclude_environments):
            return f"exclude_environments: {out}"
        if self.environments and not first_match([name], self.environments):
            return f"environments: {', '.join(self.environments)}"
        return None

    def left_out_by(self, subject: Subject) -> str | None:
        """The setting that leaves a failing node out, as ``key: patterns``; None where its failures become records."""
        for field, patterns in self.exclude.asked():
            if out := first_match(getattr(subject, field), patterns):
                return f"{'exclude' if field == 'names' else f'exclude_{field}'}: {out}"
        for field, patterns in self.include.asked():
            if not first_match(getattr(subject, field), patterns):
                return f"{'include' if field == 'names' else field}: {', '.join(patterns)}"
        return None

    def result_left_out_by(self, result: NodeResult, subject: Subject) -> str | None:
        """The same of one result that is not good: its severity counts too."""
        if result.outcome is Outcome.WARNED and not self.warnings:
            return "severity: error"
        return self.left_out_by(subject)


def first_match(values: Iterable[str], patterns: Iterable[str]) -> str | None:
    """The first pattern that fits any of the values, upper and lower case alike."""
    folded = [one.casefold() for one in values]
    return next((one for one in patterns if any(fnmatchcase(value, one.casefold()) for value in folded)), None)


def name_in(unique_id: str) -> str:
    """A node's name out of its unique id; a generic test's ends in a hash, a source's has two parts."""
    parts = unique_id.split(".")
    if parts[0] == "source":
        return ".".join(parts[2:])
    return parts[2] if len(parts) > 2 else unique_id
