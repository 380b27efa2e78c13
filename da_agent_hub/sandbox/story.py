"""What happens in a sandbox: two businesses, their people, their commits and what goes wrong, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone

from .dbt_files import core_paths, known_values_test, project_files, report_path, sampled_test_path
from .history import Author, Change
from .loader import Upstream
from .vocabulary import SALES, SERVICE, Branch, Domain

NIGHTS = 14
SAMPLE = 20
_PEOPLE = (
    ("Priya Nair", "priya-nair"),
    ("Tomas Vrba", "tomas-vrba"),
    ("Hanna Weiss", "hanna-weiss"),
    ("Luis Ortega", "luis-ortega"),
    ("Grace Kimani", "grace-kimani"),
    ("Jonas Lindqvist", "jonas-lindqvist"),
)


@dataclass(frozen=True)
class Incident:
    """Ground truth, for graders only. ``node`` fails in the nights ``first`` to ``last`` (from 0; hidden ones apart).

    ``commit`` is the subject of the culprit commit, empty where the cause is upstream; ``fixable`` says whether a safe
    change of the repository exists; ``heals`` whether it ends by itself or by a colleague's hand.
    """

    kind: str
    project: str
    node: str
    path: str
    categories: tuple[str, ...]
    fixable: bool
    heals: bool
    cause: str
    nights: tuple[int, ...]
    commit: str = ""


@dataclass(frozen=True)
class ProjectStory:
    """One project's part; ``odd_key`` and ``odd_nights`` steer the sampled test, ``locked`` are nights with a lock."""

    domain: Domain
    upstream: tuple[Upstream, ...]
    changes: tuple[Change, ...]
    incidents: tuple[Incident, ...]
    odd_key: int | None
    odd_nights: tuple[int, ...]
    locked: tuple[int, ...]


@dataclass(frozen=True)
class Story:
    """A whole sandbox; night ``n`` is the one of ``first_day + n`` days."""

    seed: int
    first_day: date
    authors: tuple[Author, ...]
    projects: tuple[ProjectStory, ProjectStory]


def tell_story(seed: int, first_day: date) -> Story:
    """The story of a seed; the same arguments always give the same story."""
    return _Teller(seed, first_day).story()


@dataclass(frozen=True)
class _Plan:
    """Where each fault hits and in which nights it is first seen."""

    twice: tuple[Branch, int]
    rename: tuple[Branch, int]
    novelty: tuple[Branch, int]
    flaky: tuple[Branch, tuple[int, ...]]
    nulls: tuple[Branch, int, int]
    stall: int
    grain: int
    locked: int
    uncompiled: int
    mistyped: int


class _Teller:
    def __init__(self, seed: int, first_day: date) -> None:
        self.seed = seed
        self.first_day = first_day
        self.rng = random.Random(f"story {seed}")
        sales = SALES[0] if seed == 0 else self.rng.choice(SALES)
        service = SERVICE[0] if seed == 0 else self.rng.choice(SERVICE)
        self.sales, self.service = (
            sales,
            replace(
                service,
                owner=sales.owner,
                teams=tuple((team, f"{team}@{sales.owner}.example") for team, _ in service.teams),
            ),
        )
        people = list(_PEOPLE)
        if seed:
            self.rng.shuffle(people)
        self.authors = tuple(Author(name, login, f"{login}@{sales.owner}.example") for name, login in people[:4])
        self.plan = self._plan()

    def story(self) -> Story:
        return Story(self.seed, self.first_day, self.authors, (self._sales(), self._service()))

    def _plan(self) -> _Plan:
        branches = [*self.sales.branches, *self.service.branches]
        twice, rename, novelty, flaky, nulls = branches[:5]
        if self.seed:
            twice, rename, novelty, flaky, nulls, _ = self.rng.sample(branches, 6)
        pick = self.rng.randint
        locked, uncompiled = (6, 8) if self.seed == 0 else (pick(5, 6), pick(7, 9))
        begun = 3 if self.seed == 0 else pick(2, 3)
        return _Plan(
            twice=(twice, 5 if self.seed == 0 else pick(4, 7)),
            rename=(rename, 10 if self.seed == 0 else pick(8, 11)),
            novelty=(novelty, 7 if self.seed == 0 else pick(4, 9)),
            flaky=(flaky, (2, 4) if self.seed == 0 else (pick(1, 2), 4)),
            nulls=(nulls, begun, begun + (1 if self.seed == 0 else pick(0, 1))),
            stall=11 if self.seed == 0 else pick(9, 11),
            grain=8 if self.seed == 0 else pick(5, 10),
            locked=locked,
            uncompiled=uncompiled,
            mistyped=11 if self.seed == 0 else pick(10, 11),
        )

    # what the source systems do

    def _branch_faults(self, domain: Domain, hidden: tuple[int, ...]) -> tuple[list[Upstream], list[Incident]]:
        plan, upstream, incidents = self.plan, [], []

        def add(
            kind: str, branch: Branch, nights: range, upstream_fault: Upstream, node: str, path: str, **facts: object
        ) -> None:
            upstream.append(upstream_fault)
            seen = tuple(night for night in nights if night not in hidden)
            incidents.append(Incident(kind, domain.name, node, path, nights=seen, **facts))  # type: ignore[arg-type]

        mine = {branch.table.name for branch in domain.branches}
        branch, first = plan.twice
        if branch.table.name in mine:
            add(
                "duplicate_load", branch, range(first, NIGHTS), Upstream("twice", branch.table.name, first),
                f"unique_{branch.fact}_{branch.table.key}", f"models/staging/{branch.table.staging}.sql",
                categories=("data_quality_issue",), fixable=True, heals=False,
                cause=f"the batch of that night is twice in {domain.raw_schema}.{branch.table.name}",
            )  # fmt: skip
        branch, first = plan.rename
        if branch.table.name in mine:
            column = branch.table.column(branch.measure)
            new_name = branch.renamed + ("_cents" if column.kind == "money" else "")
            add(
                "renamed_column", branch, range(first, NIGHTS),
                Upstream("rename", branch.table.name, first, column=column.raw, value=new_name),
                branch.table.staging, f"models/staging/{branch.table.staging}.sql",
                categories=("code_fix_required",), fixable=True, heals=False,
                cause=f"{domain.raw_schema}.{branch.table.name}.{column.raw} is called {new_name} now",
            )  # fmt: skip
        branch, first = plan.novelty
        if branch.table.name in mine:
            add(
                "new_value", branch, range(first, NIGHTS),
                Upstream("novelty", branch.table.name, first, column=branch.category, value=branch.novelty),
                known_values_test(branch), f"models/marts/{branch.fact}.sql",
                categories=("data_quality_issue",), fixable=False, heals=False,
                cause=f"{branch.category} {branch.novelty} appeared in {domain.raw_schema}.{branch.table.name}",
            )  # fmt: skip
        branch, first, last = plan.nulls
        if branch.table.name in mine:
            column = branch.table.column(branch.measure)
            add(
                "null_burst", branch, range(first, last + 1),
                Upstream("nulls", branch.table.name, first, last, column=column.raw),
                f"not_null_{branch.fact}_{branch.measure}", f"models/marts/{branch.fact}.sql",
                categories=("data_quality_issue", "transient_failure"), fixable=False, heals=True,
                cause=f"{domain.raw_schema}.{branch.table.name}.{column.raw} was empty in some rows and filled in later",
            )  # fmt: skip
        branch, flaky_nights = plan.flaky
        if branch.table.name in mine:
            path = sampled_test_path(branch)
            upstream.append(self._outlier(branch))
            incidents.append(
                Incident(
                    "flaky_test", domain.name, path.removeprefix("tests/").removesuffix(".sql"), path,
                    ("transient_failure", "false_positive"), False, True,
                    "the test reads another twentieth of the rows in each run, and one old row is implausible",
                    flaky_nights,
                )
            )  # fmt: skip
        return upstream, incidents

    def _outlier(self, branch: Branch) -> Upstream:
        key = random.Random(f"odd {self.seed}").randint(3, 30)
        return Upstream("outlier", branch.table.name, 0, column=branch.table.column(branch.measure).raw, value=str(key))

    # the two projects

    def _sales(self) -> ProjectStory:
        domain, plan = self.sales, self.plan
        document, item = domain.roles["document"], domain.roles["item"]
        upstream, incidents = self._branch_faults(domain, ())
        upstream.append(Upstream("stall", item.name, plan.stall))
        incidents.append(
            Incident(
                "stale_source", domain.name, f"{domain.source}.{item.name}", "models/staging/_sources.yml",
                ("data_quality_issue", "infrastructure_issue"), False, False,
                f"{domain.raw_schema}.{item.name} is not loaded any more", tuple(range(plan.stall + 1, NIGHTS)),
            )
        )  # fmt: skip
        desk = _Desk(self, domain)
        desk.found_project(self._sampled(domain))
        self._tend_branches(desk)
        totals, enriched, fact, _, daily = list(core_paths(domain))
        segment, detail = (column.name for column in domain.roles["profile"].columns[2:4])
        fee = document.first("money").name
        desk.edit(
            plan.grain - 3,
            f"Say what a row of {document.name} is",
            enriched,
            lambda text: f"-- One row per {document.singular}.\n{text}",
        )
        desk.edit(
            plan.grain - 2,
            f"Round {document.singular} totals to cents",
            totals,
            lambda text: text.replace("sum(", "round(sum(").replace(") as net_amount", "), 2) as net_amount"),
        )
        if self.seed % 2 == 0:
            culprit = f"Show the {detail} next to the {segment}"
            desk.edit(
                plan.grain, culprit, enriched,
                lambda text: text.replace(f"        {segment}\n", f"        {segment},\n        {detail}\n")
                .replace("\n    where is_current\n", "\n")
                .replace(f"current_profiles.{segment},", f"current_profiles.{segment},\n        current_profiles.{detail},"),
            )  # fmt: skip
            path = enriched
        else:
            culprit = f"Keep the {item.singular} in {document.singular} totals"
            desk.edit(
                plan.grain, culprit, totals,
                lambda text: text.replace(f"        {document.key},\n", f"        {document.key},\n        {item.key},\n")
                .replace(f"group by {document.key}", f"group by {document.key}, {item.key}"),
            )  # fmt: skip
            path = totals
        desk.edit(
            plan.grain,
            "Round gross amounts",
            fact,
            lambda text: text.replace(f"net_amount + {fee} as", f"round(net_amount + {fee}, 2) as"),
            later=True,
        )
        desk.edit(
            plan.grain + 1,
            f"Average {document.singular} value by day",
            daily,
            lambda text: text.replace(
                "sum(gross_amount) as gross_amount\n",
                "sum(gross_amount) as gross_amount,\n    avg(gross_amount) as average_amount\n",
            ),
        )
        incidents.append(
            Incident(
                "grain_break", domain.name, f"unique_fct_{document.name}_{document.key}", path, ("code_fix_required",), True, False,
                f"a join or grouping gives more than one row a {document.singular}", tuple(range(plan.grain, NIGHTS)), culprit,
            )
        )  # fmt: skip
        return self._told(domain, upstream, desk, incidents, ())

    def _service(self) -> ProjectStory:
        domain, plan = self.service, self.plan
        hidden = (plan.locked, plan.uncompiled)
        upstream, incidents = self._branch_faults(domain, hidden)
        job, party = domain.roles["job"], domain.roles["party"]
        desk = _Desk(self, domain)
        desk.found_project(self._sampled(domain))
        self._tend_branches(desk)
        _, _, punctuality, volumes = list(core_paths(domain))
        daily = f"int_{job.singular}_daily"
        culprit = f"Sum up {job.name} by day before reporting {domain.site}s"
        report = desk.read(volumes)
        desk.edit(plan.uncompiled, culprit, volumes, lambda _: _report_of(daily, domain))
        desk.edit(
            plan.uncompiled + 1,
            f"Add the daily {job.singular} model",
            f"models/intermediate/{daily}.sql",
            lambda _: report,
            early=True,
        )
        incidents.append(
            Incident(
                "compile_error", domain.name, f"rpt_{domain.site}_volumes", volumes, ("code_fix_required",), True, True,
                f"{volumes} refers to {daily}, which came a day later", (plan.uncompiled,), culprit,
            )
        )  # fmt: skip
        incidents.append(
            Incident(
                "database_locked", domain.name, "", "", ("transient_failure", "infrastructure_issue"), False, True,
                "another process held the database file", (plan.locked,),
            )
        )  # fmt: skip
        desk.edit(
            plan.mistyped - 2,
            f"Show late shares in per cent of all {job.name}",
            punctuality,
            _replaced("then 1.0 else 0.0", "then 100.0 else 0.0"),
        )
        if self.seed % 2 == 0:
            culprit = f"Report the longest delay of each {party.singular}"
            desk.edit(
                plan.mistyped, culprit, punctuality,
                lambda text: text.replace(
                    "as average_delay_minutes\n    from", "as average_delay_minutes,\n        max(delay_mins) as longest_delay_minutes\n    from"
                ).replace("punctuality.average_delay_minutes\n", "punctuality.average_delay_minutes,\n    punctuality.longest_delay_minutes\n"),
            )  # fmt: skip
        else:
            culprit = f"Average lateness over late {job.name} only"
            desk.edit(
                plan.mistyped, culprit, punctuality,
                lambda text: text.replace("avg(delay_minutes)", "avg(case when is_delayed then delay_minutes end)"),
            )  # fmt: skip
        desk.edit(
            plan.mistyped,
            f"Explain {party.singular} punctuality",
            punctuality,
            _headed(f"A {job.singular.replace('_', ' ')} is late from the first minute over what was promised."),
            later=True,
        )
        incidents.append(
            Incident(
                "mistyped_column", domain.name, f"rpt_{party.singular}_punctuality", punctuality, ("code_fix_required",), True, False,
                "the commit reads a column that its model does not have", tuple(range(plan.mistyped, NIGHTS)), culprit,
            )
        )  # fmt: skip
        return self._told(domain, upstream, desk, incidents, (plan.locked,))

    def _told(
        self, domain: Domain, upstream: list[Upstream], desk: _Desk, incidents: list[Incident], locked: tuple[int, ...]
    ) -> ProjectStory:
        odd = next((int(one.value) for one in upstream if one.kind == "outlier"), None)
        nights = self.plan.flaky[1] if odd else ()
        return ProjectStory(domain, tuple(upstream), desk.changes(), tuple(incidents), odd, nights, locked)

    def _sampled(self, domain: Domain) -> Branch | None:
        flaky = self.plan.flaky[0]
        return flaky if flaky in domain.branches else None

    def _tend_branches(self, desk: _Desk) -> None:
        """Harmless commits to the files around the faults, some just before and some just after."""
        plan = self.plan
        mine = desk.domain.branches
        moments = (
            (plan.twice[0], plan.twice[1]),
            (plan.rename[0], plan.rename[1]),
            (plan.novelty[0], plan.novelty[1]),
            (plan.nulls[0], plan.nulls[1]),
        )
        for branch, night in moments:
            if branch not in mine:
                continue
            name = branch.table.name.replace("_", " ")
            staging, fact = f"models/staging/{branch.table.staging}.sql", f"models/marts/{branch.fact}.sql"
            desk.edit(
                night,
                f"Note where {name} come from",
                staging,
                _headed(f"{name.capitalize()} of the application, one row each."),
            )
            desk.edit(
                night - 1,
                f"Name the join of {branch.fact}",
                fact,
                lambda text: text.replace("final as (", "joined as (").replace("from final", "from joined"),
            )
            if branch.reported:
                desk.edit(
                    night + 1,
                    f"Count busy days of {name}",
                    report_path(branch),
                    _replaced("count(*)", f"count(distinct {branch.table.key})"),
                    later=True,
                )


def _headed(comment: str) -> Callable[[str], str]:
    return lambda text: f"-- {comment}\n{text}"


def _replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _report_of(daily: str, domain: Domain) -> str:
    return (
        f"with daily as (\n\n    select * from {{{{ ref('{daily}') }}}}\n\n)\n\n"  # noqa: S608
        f"select\n    {domain.site}_code,\n    {domain.site}_name,\n    activity_date,\n"
        f"    {domain.roles['job'].singular}_count,\n    transit_minutes\nfrom daily\n"
    )


class _Desk:
    """Where a project's files are edited and committed, in the order that the story tells, sorted by time at the end."""

    def __init__(self, teller: _Teller, domain: Domain) -> None:
        self.domain = domain
        self._teller = teller
        self._rng = random.Random(f"desk {teller.seed} {domain.name}")
        self._edits: list[tuple[datetime, str, str, Callable[[str], str]]] = []
        self._files: dict[str, str] = {}
        self._founding: list[tuple[datetime, str, dict[str, str]]] = []

    def found_project(self, sampled: Branch | None) -> None:
        """The first commits: the project as it stood before the first night."""
        self._files = project_files(self.domain, sampled=sampled)
        place = self._place("")
        groups: dict[str, list[str]] = {
            "Start the dbt project": [path for path in self._files if path.count("/") <= place.count("/")],
            "Stage the application's tables": [],
            "Join what belongs together": [],
            "Publish marts, with tests and owners": [],
        }
        for path in self._files:
            if "/staging/" in path or "seeds/" in path:
                groups["Stage the application's tables"].append(path)
            elif "/intermediate/" in path:
                groups["Join what belongs together"].append(path)
            elif "/marts/" in path or "tests/" in path:
                groups["Publish marts, with tests and owners"].append(path)
        for position, (message, paths) in enumerate(groups.items()):
            at = self._moment(-7 + 2 * position, 9, 17)
            self._founding.append((at, message, {path: self._files[path] for path in paths}))

    def read(self, path: str) -> str:
        """A file of the dbt project as it stands before any edit."""
        return self._files[self._place(path)]

    def edit(
        self,
        night: int,
        message: str,
        path: str,
        change: Callable[[str], str],
        *,
        later: bool = False,
        early: bool = False,
    ) -> None:
        """A commit that is first built in ``night``; ``later`` and ``early`` move it within the day before."""
        hours = (17, 20) if later else (7, 10) if early else (13, 16)
        self._edits.append((self._moment(night - 1, *hours), message, self._place(path), change))

    def changes(self) -> tuple[Change, ...]:
        """Everything in order of time, as whole files."""
        files, written = dict(self._files), []
        for at, message, added in self._founding:
            written.append(Change(at, self._rng.choice(self._teller.authors), message, added))
        for at, message, path, change in sorted(self._edits, key=lambda edit: edit[0]):
            text = change(files.get(path, ""))
            assert text != files.get(path), f"{message}: nothing to change in {path}"
            files[path] = text
            written.append(Change(at, self._rng.choice(self._teller.authors), message, {path: text}))
        return tuple(written)

    def _place(self, path: str) -> str:
        return path if self.domain.directory == "." else f"{self.domain.directory}/{path}"

    def _moment(self, day: int, first_hour: int, last_hour: int) -> datetime:
        start = datetime.combine(self._teller.first_day + timedelta(days=day), time(first_hour), timezone.utc)
        return start + timedelta(seconds=self._rng.randrange((last_hour - first_hour) * 3600))
