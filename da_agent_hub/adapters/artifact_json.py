"""The JSON of an artifact as it really comes: cut, compressed, in another encoding, with NaN, or another file."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, TypeVar

import msgspec


class UnreadableArtifactError(ValueError):
    """The bytes are not the artifact that they were asked to be; the message is one sentence."""


_Shape = TypeVar("_Shape")
_UNDECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_GZIP = b"\x1f\x8b"
# A file of a few kilobytes can unpack to any size.
_LARGEST_UNPACKED = 2_000_000_000
_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_LONGEST_INTEGER = 400
_LONGEST_ESCAPE = len("\\u0000")
_HALF_A_WORD = re.compile(r"-?(?:|t|tr|tru|f|fa|fal|fals|n|nu|nul|N|Na|I\w*|\.|\.?\d*[eE][+-]?)")
_SCHEMA = re.compile(r"/dbt/([a-z-]+)/(v\d+)")
_FILES = {
    "run-results": "run_results.json",
    "manifest": "manifest.json",
    "sources": "sources.json",
    "catalog": "catalog.json",
}
_KINDS_OF_JSON = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def read_object(payload: bytes, shape: type[_Shape], name: str) -> tuple[_Shape, str | None]:
    """The JSON object of an artifact, and a sentence on what stands in the file after its end, where anything does.

    Every field of ``shape`` takes whatever JSON stands there: ``msgspec.Raw``, or a type that the caller falls back
    from where it does not fit.

    Raises:
        UnreadableArtifactError: there is no such object; the sentence says whether the file is cut and where, empty,
            an HTML page, or not JSON.
        msgspec.ValidationError: it is an object and does not have that shape.
    """
    try:
        return decoder(shape).decode(payload), None
    except msgspec.ValidationError:
        if payload[:1] == b"{" or payload.lstrip()[:1] == b"{":
            raise
    except _UNDECODED:
        pass
    found, surplus = _plain(payload, name)
    if not isinstance(found, dict):
        said = "null" if found is None else _KINDS_OF_JSON[type(found)]
        raise UnreadableArtifactError(f"{name} is {said}, where dbt writes an object")
    return decoder(shape).decode(_written(found)), surplus


def decoder(shape: type[_Shape]) -> msgspec.json.Decoder[_Shape]:
    """Made once a shape: making one costs more than decoding a small entry."""
    known = _DECODERS.get(shape)
    if known is None:
        known = _DECODERS.setdefault(shape, msgspec.json.Decoder(shape))
    return known


def check_kind(metadata: msgspec.Raw, name: str) -> None:
    """Make sure that an artifact is the one that was asked for, as far as it says.

    Raises:
        UnreadableArtifactError: it says that it is another one.
    """
    schema = _SCHEMA.search(lenient(metadata, _SchemaVersion).dbt_schema_version or "")
    file = _FILES.get(schema[1]) if schema else None
    if schema and file and file != name:
        raise UnreadableArtifactError(f"{name} holds another artifact: a {file} ({schema[2]})")


def lenient(raw: msgspec.Raw, shape: type[_Shape]) -> _Shape:
    """Decode an entry; where one field has a type of its own, only that field falls back to its default."""
    try:
        return decoder(shape).decode(raw)
    except _UNDECODED:
        pass
    try:
        fields, _ = _plain(bytes(raw), "the entry")
    except UnreadableArtifactError:
        return shape()
    found = {}
    for field in msgspec.structs.fields(shape):  # type: ignore[arg-type]
        if isinstance(fields, dict) and field.encode_name in fields:
            try:
                found[field.name] = msgspec.convert(fields[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return shape(**found)


class _SchemaVersion(msgspec.Struct):
    dbt_schema_version: str | None = None


def _plain(payload: bytes, name: str) -> tuple[Any, str | None]:
    """What the first JSON value of a file holds, read as tolerantly as can be, and what is said of the rest."""
    text = _text(payload, name).rstrip("\0 \t\r\n")
    begins = len(text) - len(text.lstrip())
    if begins == len(text):
        raise UnreadableArtifactError(f"{name} is empty")
    if text[begins] == "<":
        raise UnreadableArtifactError(f"{name} is an HTML or XML page, not JSON")
    try:
        found, end = _TOLERANT.raw_decode(text, begins)
    except json.JSONDecodeError as error:
        ends_in_a_string = error.msg.startswith("Unterminated")
        ends_in_an_escape = error.msg.startswith("Invalid \\") and len(text) - error.pos <= _LONGEST_ESCAPE
        ends = ends_in_a_string or ends_in_an_escape or _HALF_A_WORD.fullmatch(text, error.pos)
        if text[begins] in "{[" and ends:
            raise UnreadableArtifactError(f"{name} is cut at byte {len(payload.rstrip(bytes(1)))}") from error
        at = len(text[: error.pos].encode("utf-8", "replace"))
        raise UnreadableArtifactError(
            f"{name} is not JSON: at byte {at}, {error.msg[:1].lower()}{error.msg[1:]}"
        ) from error
    except RecursionError as error:
        raise UnreadableArtifactError(f"{name} is nested too deeply to be read") from error
    rest = len(text[end:].strip().encode("utf-8", "replace"))
    return found, f"{name} goes on after its end: {rest} bytes were not read" if rest else None


def _text(payload: bytes, name: str) -> str:
    if payload[:2] == _GZIP:
        payload = _unpacked(payload, name)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(encoding, "replace")
    if payload[:4:2] == b"\0\0":
        return payload.decode("utf-16-be", "replace")
    if payload[1:4:2] == b"\0\0":
        return payload.decode("utf-16-le", "replace")
    return payload.decode("utf-8", "replace")


def _unpacked(payload: bytes, name: str) -> bytes:
    packed = zlib.decompressobj(wbits=31)
    try:
        found = packed.decompress(payload, _LARGEST_UNPACKED)
    except zlib.error as error:
        raise UnreadableArtifactError(f"{name} is compressed, and damaged: {error}") from error
    if packed.unconsumed_tail:
        raise UnreadableArtifactError(f"{name} unpacks to more than {_LARGEST_UNPACKED} bytes")
    if not packed.eof:
        raise UnreadableArtifactError(f"{name} is compressed, and cut at byte {len(payload)}")
    return found


def _integer(digits: str) -> int | None:
    # Python itself refuses longer ones, and no field of an artifact means one.
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


# NaN and Infinity, which Python's own JSON writes, mean that there is no number.
_TOLERANT = json.JSONDecoder(parse_constant=lambda _: None, parse_int=_integer, strict=False)


def _written(found: Any) -> bytes:
    """JSON again, in which half a surrogate pair, which no text may hold, is a question mark."""
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
