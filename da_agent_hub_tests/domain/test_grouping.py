"""Many symptoms of one cause, over generated lineages, steps and jobs, are one record; two causes stay two."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, ProjectGraph
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.record_building import build_records

from .dbt_story import START, data_test, lineage, model

BUILD, TEST = "Invoke dbt with `dbt build`", "Invoke dbt with `dbt test`"
LOST = "Database Error in model {0} (models/{0}.sql)\n  could not connect to server: Connection refused"
SYNTAX = 'Database Error in model {0} (models/{0}.sql)\n  syntax error at or near "slect"'
NO_TABLE = 'Database Error in {1} (models/{1}.sql)\n  relation "{0}" does not exist'

# Shrinking a lineage of hundreds of nodes takes minutes and explains nothing.
SLOW = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
SEEDS = st.integers(0, 10_000)


def model_id(number: int) -> str:
    return f"model.shop.m{number}"


def unique_id(number: int) -> str:
    return f"test.shop.unique_m{number}_id{number}.a1"


def null_id(number: int) -> str:
    return f"test.shop.not_null_m{number}_id{number}.a1"


@dataclass(frozen=True)
class World:
    """A lineage in which all models stand below one of ``roots``, each model with two tests."""

    graph: ProjectGraph
    roots: tuple[int, ...]
    numbers: tuple[int, ...]

    def below(self, root: int) -> list[int]:
        found = self.graph.descendants(model_id(root))
        return [number for number in self.numbers if model_id(number) in found]


def world(seed: int, models: int = 100, roots: int = 1) -> World:
    rng = random.Random(seed)
    nodes: list[GraphNode] = []
    trees: dict[int, list[int]] = {root: [root] for root in range(roots)}
    for number in range(models):
        tree = trees[number % roots]
        among = tree[-12:] if rng.random() < 0.7 else tree
        parents = rng.sample(among, min(len(among), rng.randint(1, 3))) if number >= roots else []
        nodes.append(model(f"m{number}", *sorted(model_id(parent) for parent in parents)))
        nodes += [data_test(kind, f"m{number}", f"id{number}") for kind in ("unique", "not_null")]
        if number >= roots:
            tree.append(number)
    return World(lineage(*nodes), tuple(range(roots)), tuple(range(models)))


def night(number: int, steps: Sequence[tuple[str, Sequence[NodeResult]]], job: str = "1", hours: float = 0.0) -> DbtRun:
    """A run of a job at some hour of a night."""
    finished = START + timedelta(days=number, hours=hours)
    made = [
        DbtStep(index, name, "error" if _is_bad(results) else "success", tuple(results), invocation_id=f"{job}-{index}")
        for index, (name, results) in enumerate(steps, 1)
    ]
    return DbtRun(
        project="shop",
        environment="Production",
        job_id=job,
        job_name=f"job {job}",
        run_id=f"{number}-{job}",
        url=f"https://cloud.getdbt.com/runs/{number}-{job}",
        status="error" if any(one.status == "error" for one in made) else "success",
        finished_at=finished,
        git_sha="a" * 40,
        steps=tuple(made),
    )


def _is_bad(results: Sequence[NodeResult]) -> bool:
    return any(one.status in ("error", "fail") for one in results)


def outcome(unique: str, bad: Mapping[str, str]) -> NodeResult:
    """A node's result: rows found for a test, or what the warehouse said, where it is among the bad."""
    said = bad.get(unique)
    if said is None:
        return NodeResult(unique, "pass" if unique.startswith("test.") else "success")
    if said == "rows":
        return NodeResult(unique, "fail", "Got 4 results, configured to fail if != 0", 4, compiled_sql="select id")
    return NodeResult(unique, "skipped") if said == "skipped" else NodeResult(unique, "error", said)


def nodes_of(numbers: Sequence[int]) -> list[str]:
    return [one for number in numbers for one in (model_id(number), unique_id(number), null_id(number))]


def members(record: ErrorRecord) -> set[str]:
    return {one for one in (record.node, *record.members) if one}


def shuffled(runs: Sequence[DbtRun], seed: int) -> list[DbtRun]:
    again = [*runs, *runs[:1]]
    random.Random(seed).shuffle(again)
    return again


def in_jobs(numbers: Sequence[int], jobs: int, rng: random.Random) -> list[list[int]]:
    """Models by job, the first of them in the first."""
    split: list[list[int]] = [[numbers[0]], *([] for _ in range(jobs - 1))]
    for number in numbers[1:]:
        split[rng.randrange(jobs)].append(number)
    return split


@SLOW
@given(SEEDS, st.integers(1, 4), st.sampled_from(["unique", "not_null"]))
def test_three_hundred_tests_that_find_the_rows_of_one_root_are_one_record(seed: int, jobs: int, kind: str) -> None:
    made = world(seed, models=300)
    named = unique_id if kind == "unique" else null_id
    rng = random.Random(seed)
    hit = [0, *(number for number in made.below(0) if rng.random() < 0.97)]
    bad = {named(number): "rows" for number in hit}
    split = in_jobs(made.numbers, jobs, rng)
    runs = [
        night(day, [(BUILD, [outcome(one, bad if day else {}) for one in nodes_of(part)])], f"{job}", hours=job / 2)
        for day in (0, 1, 2)
        for job, part in enumerate(split)
        if part
    ]
    (record,) = build_records(runs, made.graph)
    assert (record.node, members(record)) == (named(0), set(bad))
    assert build_records(shuffled(runs, seed), made.graph) == (record,)


@SLOW
@given(SEEDS, st.booleans())
def test_a_model_that_was_not_built_is_one_record_with_all_that_missed_it_in_later_steps_and_other_jobs(
    seed: int, with_tests: bool
) -> None:
    made = world(seed, models=100)
    below = made.below(0)
    rng = random.Random(seed)
    blocked = [number for number in below if rng.random() < 0.5]
    readers = [number for number in made.numbers if model_id(0) in made.graph.nodes[model_id(number)].depends_on]
    first: dict[str, str] = {model_id(0): SYNTAX.format("m0")} | {model_id(number): "skipped" for number in blocked}
    tests = (unique_id(0), null_id(0)) if with_tests else ()
    second = {one: NO_TABLE.format("analytics.m0", "test of m0") for one in tests}
    other = {model_id(number): NO_TABLE.format("analytics.m0", f"model m{number}") for number in readers}
    runs = [
        night(0, [(BUILD, [outcome(one, {}) for one in nodes_of(made.numbers)])]),
        night(0, [(BUILD, [outcome(model_id(number), {}) for number in readers])], "2", hours=1),
        night(
            1,
            [
                (BUILD, [outcome(model_id(number), first) for number in (0, *blocked)]),
                (TEST, [outcome(one, second) for one in tests]),
            ],
        ),
        night(1, [(BUILD, [outcome(model_id(number), other) for number in readers])], "2", hours=1),
    ]
    (record,) = build_records(runs, made.graph)
    assert (record.node, record.error_class) == (model_id(0), "syntax_error")
    assert members(record) == {model_id(0), *second, *other}
    assert set(record.skipped) <= {model_id(number) for number in blocked}
    assert build_records(shuffled(runs, seed), made.graph) == (record,)


@SLOW
@given(SEEDS, st.integers(1, 4))
def test_one_outage_over_many_nodes_and_jobs_is_one_record(seed: int, jobs: int) -> None:
    made = world(seed, models=300)
    rng = random.Random(seed)
    bad = {model_id(number): LOST.format(f"m{number}") for number in made.numbers}
    runs = [
        night(1, [(BUILD, [outcome(model_id(one), bad) for one in part])], f"{job}", hours=job / 10)
        for job, part in enumerate(in_jobs(made.numbers, jobs, rng))
        if part
    ]
    (record,) = build_records(runs, made.graph)
    assert (record.error_class, record.node, set(record.members)) == ("connection_lost", None, set(bad))
    assert build_records(shuffled(runs, seed), made.graph) == (record,)


@SLOW
@given(SEEDS, st.integers(1, 3), st.booleans())
def test_two_independent_causes_in_one_night_stay_two_with_their_own_members(
    seed: int, jobs: int, same_class: bool
) -> None:
    made = world(seed, models=120, roots=2)
    rng = random.Random(seed)
    kinds = {0: unique_id, 1: unique_id if same_class else null_id}
    wanted = {root: {kinds[root](one) for one in (root, *made.below(root))} for root in made.roots}
    bad = {one: "rows" for found in wanted.values() for one in found}
    split = in_jobs(made.numbers, jobs, rng)
    split[0] = sorted({0, 1, *split[0]})  # so that one of the causes may be run by two jobs
    runs = [
        night(day, [(BUILD, [outcome(one, bad if day else {}) for one in nodes_of(part)])], f"{job}", hours=job / 2)
        for day in (0, 1)
        for job, part in enumerate(split)
        if part
    ]
    found = build_records(runs, made.graph)
    assert {record.node: members(record) for record in found} == {
        kinds[root](root): wanted[root] for root in made.roots
    }
    assert build_records(shuffled(runs, seed), made.graph) == found


def test_what_another_job_found_good_after_the_cause_had_begun_is_no_consequence_of_it() -> None:
    made = world(1, models=2)
    assert made.below(0) == [1]

    def told(day: int, hours: float, job: str, number: int, bad: bool) -> DbtRun:
        results = [outcome(unique_id(number), {unique_id(number): "rows"} if bad else {})]
        return night(day, [(TEST, results)], job, hours)

    before = [told(0, 0, "1", 0, False), told(0, 1, "2", 1, False), told(1, 0, "1", 0, True)]
    assert len(build_records([*before, told(1, 1, "2", 1, True)], made.graph)) == 1
    assert len(build_records([*before, told(1, 1, "2", 1, False), told(2, 1, "2", 1, True)], made.graph)) == 2
    healed = replace(told(1, 0.5, "1", 0, False), run_id="healed")
    assert len(build_records([*before, healed, told(1, 1, "2", 1, True)], made.graph)) == 2
