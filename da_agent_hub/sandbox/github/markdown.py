"""Markdown as the pages show it: no raw HTML but a few bare tags, no images, hidden comments hidden, ``#12`` linked."""

from __future__ import annotations

import re
from collections.abc import Collection, MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BARE_TAG = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup|kbd)|details open)\s*/?&gt;", re.IGNORECASE)
_REFERENCE = re.compile(r"(?<![\w&/#])#(\d{1,9})\b")
_MENTION = re.compile(r"(?<![\w/@.`])@([A-Za-z0-9][A-Za-z0-9-]{0,38})\b")
_TASK = re.compile(r"^\[([ xX])\] ")

_Tokens = Sequence[Token]
_Env = MutableMapping[str, Any]


def render_markdown(text: str | None, *, repo_path: str, numbers: Collection[int], logins: Collection[str]) -> Markup:
    """Safe HTML of untrusted Markdown; ``numbers`` and ``logins`` are those that ``#`` and ``@`` may link."""
    known = {login.lower() for login in logins}
    env = {"repo_path": repo_path, "numbers": frozenset(numbers), "logins": known}
    return Markup(_PARSER.render(text or "", env))  # noqa: S704 - every rule below escapes what it prints


def _html(renderer: RendererHTML, tokens: _Tokens, index: int, options: OptionsDict, env: _Env) -> str:
    return _BARE_TAG.sub(r"<\1>", escapeHtml(_COMMENT.sub("", tokens[index].content)))


def _text(renderer: RendererHTML, tokens: _Tokens, index: int, options: OptionsDict, env: _Env) -> str:
    text = escapeHtml(tokens[index].content)
    before = [token.type for token in tokens[:index]]
    if before.count("link_open") > before.count("link_close"):
        return text

    def issue(found: re.Match[str]) -> str:
        if int(found[1]) not in env["numbers"]:
            return found[0]
        return f'<a href="{escapeHtml(env["repo_path"])}/issues/{found[1]}">{found[0]}</a>'

    def person(found: re.Match[str]) -> str:
        return f"<strong>{found[0]}</strong>" if found[1].lower() in env["logins"] else found[0]

    return _MENTION.sub(person, _REFERENCE.sub(issue, text))


def _image(renderer: RendererHTML, tokens: _Tokens, index: int, options: OptionsDict, env: _Env) -> str:
    source = escapeHtml(str(tokens[index].attrGet("src") or ""))
    return f'<a href="{source}" rel="nofollow noopener">{escapeHtml(tokens[index].content or "image")}</a>'


def _link(renderer: RendererHTML, tokens: _Tokens, index: int, options: OptionsDict, env: _Env) -> str:
    tokens[index].attrSet("rel", "nofollow noopener")
    return renderer.renderToken(tokens, index, options, env)


def _box(renderer: RendererHTML, tokens: _Tokens, index: int, options: OptionsDict, env: _Env) -> str:
    return f'<input type="checkbox" disabled{" checked" if tokens[index].meta["done"] else ""}> '


def _task_lists(state: StateCore) -> None:
    for index, token in enumerate(state.tokens):
        if token.type != "inline" or index < 2 or state.tokens[index - 2].type != "list_item_open":
            continue
        children = token.children or []
        found = _TASK.match(children[0].content) if children else None
        if found:
            children[0].content = children[0].content[found.end() :]
            children.insert(0, Token("task_box", "", 0, meta={"done": found[1] != " "}))
            state.tokens[index - 2].attrJoin("class", "task")


def _parser() -> MarkdownIt:
    # html is on so that the parser tells HTML apart; the rules above then escape or drop it
    parser = MarkdownIt("commonmark", {"html": True, "breaks": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("task_lists", _task_lists)
    for name, rule in (
        ("html_block", _html),
        ("html_inline", _html),
        ("text", _text),
        ("image", _image),
        ("link_open", _link),
        ("task_box", _box),
    ):
        parser.add_render_rule(name, rule)
    return parser


_PARSER = _parser()
