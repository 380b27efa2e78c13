from __future__ import annotations

import gzip
import hashlib
import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from da_agent_hub.adapters.artifact_cache import ArtifactCache

KEY = ("cloud.getdbt.com", "42", "7", "step-3-run_results.json")


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))


def aged(path: Path, days: float) -> None:
    when = time.time() - days * 86_400
    os.utime(path, (when, when))


def test_an_artifact_is_kept_compressed_under_its_hash(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)
    cache.keep([b'{"results"', b": []}"], *KEY)
    (kept,) = files(tmp_path)
    payload = b'{"results": []}'
    assert gzip.decompress(kept.read_bytes()) == payload == cache.get(*KEY)
    assert kept.name == f"step-3-run_results.json.{hashlib.sha256(payload).hexdigest()}.gz"
    assert cache.get(*KEY[:-1], "step-3-manifest.json") is None


def test_other_bytes_in_a_whole_gzip_are_noticed_by_the_hash_and_dropped(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)
    cache.keep([b'{"status": "error"}'], *KEY)
    (kept,) = files(tmp_path)
    kept.write_bytes(gzip.compress(b'{"status": "success"}'))
    assert cache.get(*KEY) is None
    assert files(tmp_path) == []


def test_what_breaks_off_on_its_way_leaves_nothing(tmp_path: Path) -> None:
    def cut() -> Iterator[bytes]:
        yield b'{"results": ['
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ArtifactCache(tmp_path).keep(cut(), *KEY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_keys_from_outside_cannot_leave_the_folder(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "inside")
    cache.keep([b"{}"], "..", "../../etc", "a/../../b")
    assert [path.is_relative_to(tmp_path / "inside") for path in files(tmp_path)] == [True]


def test_a_large_artifact_is_kept_in_the_memory_of_a_piece(tmp_path: Path) -> None:
    piece = os.urandom(65_536)
    tracemalloc.start()
    ArtifactCache(tmp_path).keep((piece for _ in range(100)), *KEY)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000 < files(tmp_path)[0].stat().st_size


def test_retention_removes_what_is_older_once_a_day_and_leaves_the_rest(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)
    cache.keep([b"old"], "host", "1", "a")
    cache.keep([b"new"], "host", "2", "a")
    old = next(path for path in files(tmp_path) if path.parent.name == "1")
    abandoned, begun = old.parent / ".writing-killed", tmp_path / "host" / "2" / ".writing-now"
    abandoned.touch()
    begun.touch()
    aged(old, 91)
    aged(abandoned, 2)
    aged(old.parent, 91)
    assert cache.retain(90) == 2
    assert (cache.get("host", "1", "a"), cache.get("host", "2", "a")) == (None, b"new")
    assert begun.exists()
    aged(files(tmp_path)[0], 91)
    assert cache.retain(90) == 0
    aged(tmp_path / ".looked-through", 1.1)
    assert cache.retain(90) == 1


def test_retention_beside_readers_and_writers_neither_breaks_nor_loses_what_is_young(tmp_path: Path) -> None:
    cache, broken = ArtifactCache(tmp_path), []

    def work(number: int) -> None:
        try:
            for turn in range(40):
                key = ("host", str(turn % 5), f"a{number}")
                cache.keep([b"young"], *key)
                if cache.get(*key) != b"young":
                    broken.append(f"{key} was lost")
                cache.get("host", str(turn), "old")
        except Exception as error:
            broken.append(repr(error))

    for turn in range(40):
        cache.keep([b"old"], "host", str(turn), "old")
    for path in files(tmp_path):
        aged(path, 100)
        aged(path.parent, 100)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    removed = 0
    while any(thread.is_alive() for thread in threads):
        (tmp_path / ".looked-through").unlink(missing_ok=True)
        removed += cache.retain(90)
    assert broken == []
    assert removed == 40
