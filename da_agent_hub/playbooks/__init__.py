"""The deterministic investigator: reproduce, tell code from data, follow the lineage, propose the smallest tried change."""

from .investigator import PlaybookInvestigator

__all__ = ["PlaybookInvestigator"]
