"""How many of the labelled messages get the category, and the first expert, that an engineer gave them.

``pytest -s`` prints the figures by part and family; docs/classification.md keeps the first ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from da_agent_hub.domain.classification import Classification, classify
from da_agent_hub.domain.dbt import GraphNode, TestSpec
from da_agent_hub.domain.expert_routing import RoutingFacts, first_expert
from da_agent_hub.domain.failure import Failure, FailureKind

FOLDER = Path(__file__).parent / "messages"
PARTS = ("first", "second")
ENOUGH = 0.9

KINDS = {
    "freshness": FailureKind.SOURCE_FRESHNESS,
    "operation": FailureKind.HOOK,
    "parse": FailureKind.COMPILE,
    "step": FailureKind.OTHER,
}
WITHOUT_NODE = {"parse", "compile", "connection", "step"}


@dataclass(frozen=True)
class Answer:
    """A labelled message with what the rules say of it."""

    family: str
    entry: dict[str, Any]
    found: Classification
    expert: str

    @property
    def category_is_right(self) -> bool:
        return self.found.category.value in {self.entry["category"], *self.entry.get("also", [])}

    @property
    def category_is_the_first_label(self) -> bool:
        return self.found.category.value == self.entry["category"]

    @property
    def expert_is_right(self) -> bool:
        return self.expert in {self.entry["expert"], *self.entry.get("also_expert", [])}


def answered(family: str, entry: dict[str, Any]) -> Answer:
    kind = KINDS.get(entry["kind"]) or FailureKind(entry["kind"])
    unique_id = entry.get("node") or (None if entry["kind"] in WITHOUT_NODE else f"{entry['kind']}.shop.x")
    test = TestSpec(entry["test"], "model.shop.x", "c") if entry.get("test") else None
    node = GraphNode(unique_id or "", "x", "test", test=test) if test else None
    failure = Failure(
        "shop", "Production", "1", "1", "", 1, kind, unique_id, entry["message"], datetime.now(timezone.utc)
    )
    found = classify(failure, node)
    facts = RoutingFacts(found.error_class, found.category, kind, entry["adapter"])
    return Answer(family, entry, found, first_expert(facts)[0])


@lru_cache(maxsize=1)
def answers() -> tuple[Answer, ...]:
    return tuple(
        answered(path.stem, entry)
        for path in sorted(FOLDER.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def shown(part: str, question: str) -> float:
    """Print the figures of a part by family, and give the part's."""
    of_part = [one for one in answers() if one.entry["part"] == part]
    asked, right = (
        Counter(one.family for one in of_part),
        Counter(one.family for one in of_part if getattr(one, question)),
    )
    print(f"\n{part} part, {question.replace('_', ' ')}: {right.total()}/{asked.total()}")  # noqa: T201
    for family in asked:
        print(f"  {family:13} {right[family]:3}/{asked[family]}")  # noqa: T201
    return right.total() / asked.total()


@pytest.mark.parametrize("part", PARTS)
def test_nine_of_ten_messages_get_a_category_that_an_engineer_accepts(part: str) -> None:
    shown(part, "category_is_the_first_label")
    share = shown(part, "category_is_right")
    wrong = [
        (one.entry["id"], one.found.category.value, one.found.error_class)
        for one in answers()
        if one.entry["part"] == part and not one.category_is_right
    ]
    assert share >= ENOUGH, wrong


@pytest.mark.parametrize("part", PARTS)
def test_nine_of_ten_messages_go_first_to_an_expert_that_an_engineer_accepts(part: str) -> None:
    share = shown(part, "expert_is_right")
    wrong = [
        (one.entry["id"], one.expert, one.found.error_class)
        for one in answers()
        if one.entry["part"] == part and not one.expert_is_right
    ]
    assert share >= ENOUGH, wrong
