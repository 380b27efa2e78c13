"""A user's own entries of the taxonomy, out of the files that hub.yaml names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ..domain.taxonomy import Taxonomy, TaxonomyError, builtin
from ..domain.taxonomy_check import check_entries


def taxonomy_of(paths: Sequence[Path]) -> Taxonomy | None:
    """The package's taxonomy with the files' entries, of which the first file's come first; None where there are none.

    Raises:
        TaxonomyError: a file cannot be read, or an entry cannot be used.
    """
    return _read(tuple(paths)) if paths else None


def problem_of(paths: Sequence[Path]) -> str | None:
    """What is wrong with the files, in words; None where they can be used."""
    try:
        taxonomy_of(paths)
    except TaxonomyError as error:
        return str(error)
    return None


@lru_cache(maxsize=16)
def _read(paths: tuple[Path, ...]) -> Taxonomy:
    import yaml  # here, because importing the settings' types should cost nothing

    taxonomy = builtin()
    for path in reversed(paths):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TaxonomyError(f"{path}: cannot be read ({error.strerror}); check `taxonomy` in hub.yaml") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise TaxonomyError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
        taxonomy = taxonomy.extended(document, str(path))
    for path in paths:
        check_entries(taxonomy, str(path))
    return taxonomy
