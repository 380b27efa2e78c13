"""What warehouses and dbt say when something fails: a table of patterns, of which the first match decides.

``name`` (or ``name2``) captures what the message is about, a column or a relation, where it says so. The order matters:
what passes by itself comes before what is wrong with the SQL, because a time-out may quote any statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .message_text import plain


@dataclass(frozen=True)
class MessagePattern:
    """A pattern of a message and the error class that it shows."""

    error_class: str
    pattern: re.Pattern[str]


def _say(error_class: str, *patterns: str) -> tuple[MessagePattern, ...]:
    return tuple(MessagePattern(error_class, re.compile(one, re.IGNORECASE)) for one in patterns)


# A name in any warehouse's quotes: "a", `a`, 'a', [a], or bare.
_NAME = r"[\"'`\[]?(?P<name>[\w$.\"`\-]+?)[\"'`\]]?"

PATTERNS: tuple[MessagePattern, ...] = (
    # dbt itself, before any SQL reached a warehouse
    *_say(
        "unknown_ref",
        r"depends on a node named '(?P<name>[^']+)'.*which (?:was not found|is disabled)",
        r"depends on a source named '(?P<name>[^']+)'.*which (?:was not found|is disabled)",
    ),
    *_say(
        "unknown_macro", r"'(?P<name>\w+)' is undefined", r"dbt could not find a macro with the name '(?P<name>[^']+)'"
    ),
    *_say("contract_violation", r"enforced contract that failed", r"contract.*(?:failed|mismatch).*data_type"),
    *_say("on_schema_change", r"source and target schemas on this incremental model are out of sync"),
    *_say("duplicate_resource", r"dbt found two \w+ with the name \"?(?P<name>[\w.]+)"),
    *_say("dependency_cycle", r"found a cycle: (?P<name>\S+)"),
    *_say(
        "missing_variable",
        r"required var '(?P<name>\w+)' not found",
        r"env var required but not provided: '(?P<name>\w+)'",
    ),
    *_say("missing_package", r"dbt deps|packages? (?:were|was|is) not (?:found|installed)|missing required package"),
    *_say(
        "invalid_yaml",
        r"error reading [^\n]+\.ya?ml",
        r"invalid \w+ config given in",
        r"at path \[.*\]: .* is not valid",
    ),
    *_say("invalid_profile", r"could not find profile named", r"profile .* (?:is|was) (?:invalid|not found)"),
    # what passes by itself
    *_say(
        "statement_timeout",
        r"statement (?:reached its statement or warehouse timeout|timed? ?out)",
        r"canceling statement due to (?:statement|user) timeout",
        r"statement timeout",
        r"query (?:exceeded|execution) .*(?:time|timeout)",
        r"(?:query|job|operation|execution|request) (?:has )?(?:timed out|timeout)",
        r"timed out after|operation did not complete within|exceeded .*maximum (?:run|execution) ?time",
        r"query .{0,40}cancell?ed by .*(?:wlm|timeout|query monitoring)|interrupt error: interrupted",
        r"timeout expired",
    ),
    *_say(
        "lock_conflict",
        r"could not set lock on file|write-write conflict|transactioncontext error",
        r"conflicting lock is held",
        r"deadlock",
        r"lock (?:wait )?timeout|lock request time out|could not obtain lock|canceling statement due to lock timeout",
        r"could not serialize access|serializable isolation violation|transaction conflict",
        r"concurrent(?:append|deleteread|deletedelete|modification|write|transaction)exception|\[delta_concurrent_",
        r"has locked table|number of waiters for this lock exceeds",
    ),
    *_say(
        "rate_limited",
        r"exceeded rate limits|ratelimitexceeded|too many (?:requests|concurrent queries)|resources_?exceeded_for_rate|"
        r"query queue is full|too many connections|remaining connection slots",
    ),
    *_say(
        "out_of_memory",
        r"out of memory",
        r"(?:exceeded|exceeds) .*memory limit|memory limit exceeded|exceeded_(?:local|global)?_?memory_limit",
        r"resources exceeded during query execution|could not allocate|outofmemoryerror|failed to allocate",
    ),
    *_say(
        "out_of_disk",
        r"no space left on device|disk full|could not extend file|exceeded .*temp(?:orary)? (?:disk|directory)",
    ),
    *_say(
        "authentication_failed",
        r"password authentication failed|incorrect username or password|authentication (?:token|failed|failure|error)|"
        r"login failed for user|invalid (?:access token|credentials|oauth|jwt)|reauthentication is needed|"
        r"jwt token is invalid|token (?:has |is )?expired|refresherror|invalid_grant",
    ),
    *_say(
        "quota_exceeded",
        r"quota exceeded|billing has not been enabled|exceeded .*quota|resource monitor .*exceeded|custom quota",
    ),
    *_say(
        "missing_database",
        r"cannot open (?:file|database) [\"'](?P<name>[^\"']+)[\"'](?!: permission denied)",
        r"(?:could not|unable to) open (?:the )?database",
        r"(?:database|catalog) [\"'](?P<name>[^\"']+)[\"'] (?:does not exist|was not found)",
        r"unknown database '(?P<name>[^']+)'",
        r"\[no_such_catalog_exception\]",
        # DuckDB: every database has a schema named main, so it is the database that is missing.
        r"because schema \"(?P<name>[^\".]+)\.main\" does not exist",
        r"\"(?P<name>[^\"]+)\" is not a catalog or schema",
    ),
    *_say(
        "connection_lost",
        r"could not (?:connect|translate host name)|can ?not connect|failed to connect|unable to connect",
        r"connection (?:refused|reset|aborted|timed? ?out|was closed|is closed|already closed|failure|error|to server)",
        r"server closed the connection|ssl (?:connection|syscall|error)|broken pipe|network (?:is unreachable|error)",
        r"communication link failure|max retries exceeded with url|failed to resolve|name or service not known",
        r"terminating connection|(?:503|502|504) (?:service|bad gateway|gateway)|service unavailable|backenderror",
        r"internal (?:server )?error encountered|http (?:500|502|503|504)|temporarily_unavailable|cluster .* (?:terminated|starting)",
        r"warehouse .*(?:suspended|cannot be resumed|not running)|failed to resume",
    ),
    *_say(
        "permission_denied",
        r"permission denied|insufficient privileges|access denied|access_denied|(?<!or )not authorized|does not have permission",
        r"permission .* was denied|unauthorized|403 .*(?:forbidden|denied)|insufficient_permissions|lacks? .*permission",
    ),
    # what SQL the warehouse would not run
    *_say(
        "ambiguous_column",
        r"ambiguous reference to column name \"?(?P<name>[\w.]+)",
        r"column (?:reference |name )?" + _NAME + r" is ambiguous",
        r"ambiguous column name '(?P<name>[^']+)'",
        r"reference `?\"?(?P<name>[\w.]+)`?\"? is ambiguous|\[ambiguous_reference\].*?`(?P<name2>[^`]+)`",
        r"column '(?P<name>[^']+)' is ambiguous",
        r"ambiguous column name: \"?(?P<name>[\w.]+)",
    ),
    *_say(
        "missing_column",
        r"referenced column \"(?P<name>[^\"]+)\" not found",
        r"table \"[^\"]+\" does not have a column named \"(?P<name>[^\"]+)\"",
        r"values list \"[^\"]+\" does not have a column named \"(?P<name>[^\"]+)\"",
        r"invalid identifier '(?P<name>[^']+)'",
        r"unrecognized name: (?P<name>[\w.`]+)",
        r"name (?P<name>\w+) not found inside \w+",
        r"column \"?(?P<name>[\w.\"]+?)\"? (?:does not exist|of relation .* does not exist)",
        r"column (?P<name>[\w.\"]+) does not exist in",
        r"\[unresolved_column[^\]]*\].*?name `(?P<name>[^\s]+?)` cannot be resolved",
        r"invalid column name '(?P<name>[^']+)'",
        r"column '(?P<name>[^']+)' cannot be resolved",
        r"column \"(?P<name>[^\"]+)\" does not exist in \"?excluded",
        r"star \w+ list: column \"(?P<name>[^\"]+)\"|column \"(?P<name2>[^\"]+)\" in (?:exclude|replace) list not found",
    ),
    *_say(
        "missing_relation",
        r"table with name \"?(?P<name>[^\s\"!]+)\"? does not exist",
        r"(?:object|table|view|schema) '(?P<name>[^']+)' does not exist or not authorized",
        r"not found: (?:table|dataset|project) (?P<name>\S+)",
        r"(?:relation|table|view|schema) \"(?P<name>[^\"]+)\" does not exist",
        r"\[table_or_view_not_found\].*?view (?P<name>[`\w.]+) cannot be found|\[schema_not_found\].*?schema (?P<name2>[`\w.]+)",
        r"invalid object name '(?P<name>[^']+)'",
        r"(?:table|schema) '(?P<name>[^']+)' does not exist",
        r"schema with name \"?(?P<name>[\w.]+)\"? does not exist",
        r"no files found that match the pattern \"(?P<name>[^\"]+)\"",
        r"relation (?P<name>\S+) does not exist",
    ),
    *_say(
        "missing_function",
        r"(?:scalar|aggregate|table|macro|pragma)? ?function with name (?P<name>\w+) does not exist",
        r"unknown (?:user-defined )?function (?P<name>[\w.]+)",
        r"function not found: (?P<name>\S+)",
        r"function (?P<name>[\w.]+)\(.*\) does not exist",
        r"\[unresolved_routine\].*?routine (?P<name>[`\w.]+)",
        r"'(?P<name>\w+)' is not a recognized built-in function name",
        r"function '(?P<name>[^']+)' not registered",
    ),
    *_say("division_by_zero", r"division by zero|divide by zero|divide_by_zero"),
    # One value that does not fit is a matter of the data; types that do not go together are a matter of the SQL.
    *_say(
        "invalid_value",
        r"conversion error|could not convert string|failed to cast|\[cast_invalid_input\]|conversion failed when",
        r"numeric value '.*' is not recognized|(?:date|timestamp|boolean|time) '.*' is not recognized",
        r"invalid input syntax for|date/time field value out of range|invalid digit, value|bad (?:double|int64) value",
        r"invalid (?:date|timestamp|datetime|bool|json) ?:? ?'|could not parse|error converting data type",
        r"invalid_cast_argument|arithmetic overflow|value out of range|numeric.*overflow|is out of range",
    ),
    *_say(
        "type_mismatch",
        r"could not cast|cannot be cast|cannot cast|operator does not exist|no matching signature for",
        r"no function matches the given name and argument types|\[datatype_mismatch|type mismatch|cannot compare",
        r"mismatched? (?:input )?types?|incompatible types|set operation.*types|value '.*' cannot be",
    ),
    *_say(
        "group_by_error",
        r"must appear in the group by clause|is not a valid group by expression|neither grouped nor aggregated",
        r"\[missing_aggregation\]|must be an aggregate expression or appear in group by|not contained in either an aggregate function",
    ),
    *_say(
        "duplicate_merge_keys",
        r"duplicate row detected during dml|update/merge must match at most one source row",
        r"merge statement attempted to update or delete the same row more than once|multiple source rows matched",
        r"\[delta_multiple_source_row_matching|on conflict do update command cannot affect row a second time",
        r"one merge target table row matched more than one source row",
    ),
    *_say("duplicate_keys", r"duplicate key|violates (?:unique|primary key) constraint|cannot insert duplicate key"),
    *_say(
        "null_values",
        r"null value in column \"?(?P<name>\w+)|not null constraint failed|null result in a non-nullable column|cannot insert the value null into column '(?P<name2>\w+)'",
    ),
    *_say(
        "column_count_mismatch", r"same number of result columns|number of columns|column count|mismatched column count"
    ),
    *_say(
        "syntax_error",
        r"parser error|syntax error|\[parse_syntax_error\]|incorrect syntax near|mismatched input|sql compilation error:\s*parse",
    ),
    *_say("compile_error", r"compilation error|parsing error|\bdbt (?:encountered|found) an error while parsing"),
    *_say("git_failed", r"fatal: .*repository|could not read from remote repository|failed to clone"),
)


def matched(message: str) -> tuple[str, str | None] | None:
    """The error class of a message and the name it is about; None where no pattern of the table matches."""
    text = plain(message)
    for known in PATTERNS:
        found = known.pattern.search(text)
        if found:
            names = found.groupdict()
            return known.error_class, names.get("name") or names.get("name2")
    return None
