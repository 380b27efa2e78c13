"""Plain web pages over the same state: repositories, issues, pull requests, files and commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from . import page_forms, page_views
from .bare_repo import BareRepo, GitError
from .errors import ApiError, not_found
from .markdown import render_markdown
from .pull_requests import as_of_now, fork_point, mergeable, pull_row
from .shapes import Shapes
from .state import GitHubState, find_repo, has_access
from .timeline import timeline_of


def routes(state: GitHubState, base_url: str | None) -> list[Route]:
    """Every page; forms are posted to the page they stand on."""
    pages = _Pages(state, base_url)
    repo = "/{owner}/{repo}"
    views: list[tuple[str, _View]] = [
        ("/", pages.repositories),
        (repo, pages.home),
        (f"{repo}/issues", pages.issues),
        (f"{repo}/pulls", pages.issues),
        (f"{repo}/issues/{{number:int}}", pages.thread),
        (f"{repo}/pull/{{number:int}}", pages.thread),
        (f"{repo}/commit/{{sha}}", pages.commit),
        (f"{repo}/commits", pages.commits),
        (f"{repo}/tree/{{place:path}}", pages.files),
        (f"{repo}/blob/{{place:path}}", pages.files),
        (f"{repo}/raw/{{place:path}}", pages.raw),
    ]
    forms = [f"{repo}/issues", f"{repo}/issues/{{number:int}}", f"{repo}/pull/{{number:int}}"]
    return [
        *(Route(path, pages.form, methods=["POST"]) for path in forms),
        *(Route(path, pages.page(view), methods=["GET"]) for path, view in views),
    ]


_View = Callable[["_Visit"], Response]


class _Visit:
    """One page being made: its request, a view of the database and its repository."""

    def __init__(self, state: GitHubState, db: sqlite3.Connection, request: Request) -> None:
        self.request = request
        self.db = db
        self.place = request.path_params
        self.show = Shapes(db, "")
        self.repo: Any = None
        if "owner" in self.place:
            self.repo = find_repo(db, self.place["owner"], self.place["repo"])
            if self.repo is None or self.repo["private"]:
                raise not_found()
            self.git: BareRepo = state.git(self.repo["owner"], self.repo["name"])
            self.path = f"/{self.repo['owner']}/{self.repo['name']}"

    def count(self, is_pull: bool, state: str = "open") -> int:
        found = self.db.execute(
            "select count(*) from issues where repo_id = ? and is_pull = ? and state = ?",
            (self.repo["id"], is_pull, state),
        ).fetchone()
        return int(found[0])

    def people(self) -> list[Any]:
        """Who may be acted as: everybody with a token, the repository's people first."""
        users = self.db.execute("select * from users where kind <> 'Organization' order by id").fetchall()
        return sorted(users, key=lambda user: (user["kind"] == "Bot", not has_access(self.db, self.repo, user)))

    def actor(self) -> str:
        people = self.people()
        asked = self.request.query_params.get("as", "").lower()
        known = {person["login"].lower(): person["login"] for person in people}
        return str(known.get(asked) or (people[0]["login"] if people else ""))


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def error_page(error: ApiError, details: Sequence[str] = (), back: str = "/") -> Response:
    """What a person is told instead of a page, with the way ``back``."""
    html = (
        _environment()
        .get_template("error.html")
        .render(status=error.status, message=error.message, details=list(details), back=back)
    )
    return HTMLResponse(html, error.status, page_views.HEADERS)


class _Pages:
    def __init__(self, state: GitHubState, base_url: str | None) -> None:
        self.state = state
        self.base_url = base_url
        self.jinja = _environment()
        self.jinja.filters.update(
            moment=page_views.moment, ink=page_views.ink_on, words=page_views.event_words, lines=page_views.diff_lines
        )

    def page(self, view: _View) -> Callable[[Request], Any]:
        """A view as an endpoint, with errors as pages."""

        async def serve(request: Request) -> Response:
            return await run_in_threadpool(self._visit, view, request)

        return serve

    async def form(self, request: Request) -> Response:
        """One posted form."""
        try:
            return await page_forms.act(self.state, self.base_url, request)
        except ApiError as error:
            return self._refusal(error, request)
        except (GitError, OverflowError):
            return self._refusal(not_found(), request)

    def _visit(self, view: _View, request: Request) -> Response:
        try:
            with self.state.snapshot() as db:
                return view(_Visit(self.state, db, request))
        except ApiError as error:
            return self._refusal(error, request)
        except (GitError, OverflowError):
            return self._refusal(not_found(), request)

    def _refusal(self, error: ApiError, request: Request) -> Response:
        details = [page_views.error_words(item) for item in error.errors or []]
        acting = getattr(request.state, "acting", "")
        if error.status == 403 and acting:
            details.append(f"{acting} may not do this here: choose somebody else under “Act as”")
        # What could not be shown leads nowhere; a form leads back to the page that it stands on.
        path = "/" if request.method in ("GET", "HEAD") else request.url.path
        back = path + (f"?as={quote(acting, safe='')}" if acting else "")
        return error_page(error, list(filter(None, details)), back)

    def _render(self, template: str, visit: _Visit, **facts: Any) -> Response:
        if visit.repo is not None:
            facts.update(
                repo=visit.repo,
                path=visit.path,
                open_issues=visit.count(False),
                open_pulls=visit.count(True),
            )
        return HTMLResponse(self.jinja.get_template(template).render(**facts), headers=page_views.HEADERS)

    # pages

    def repositories(self, visit: _Visit) -> Response:
        """All public repositories."""
        rows = visit.db.execute(
            "select repos.*, users.login as owner, "
            "(select count(*) from issues where repo_id = repos.id and state = 'open' and not is_pull) as issues, "
            "(select count(*) from issues where repo_id = repos.id and state = 'open' and is_pull) as pulls "
            "from repos join users on users.id = owner_id where not private order by users.login, repos.name"
        ).fetchall()
        return self._render("repositories.html", visit, repos=rows)

    def home(self, visit: _Visit) -> Response:
        """A repository's address leads to its issues."""
        return RedirectResponse(f"{visit.path}/issues")

    def issues(self, visit: _Visit) -> Response:
        """Issues or pull requests, by state and label."""
        is_pull = visit.request.url.path.endswith("/pulls")
        state = visit.request.query_params.get("state", "open")
        label = visit.request.query_params.get("label", "")
        rows = visit.db.execute(
            "select * from issues where repo_id = ? and is_pull = ? and (state = ? or ? not in ('open', 'closed')) "
            "order by number desc",
            (visit.repo["id"], is_pull, state, state),
        ).fetchall()
        shown = [visit.show.issue(visit.repo, row) for row in rows]
        if label:
            shown = [issue for issue in shown if label in {one["name"] for one in issue["labels"]}]
        return self._render(
            "issues.html",
            visit,
            issues=shown,
            is_pull=is_pull,
            state=state if state in ("open", "closed") else "all",
            label=label,
            counts={name: visit.count(is_pull, name) for name in ("open", "closed")},
            people=[person["login"] for person in visit.people()],
            actor=visit.actor(),
        )

    def thread(self, visit: _Visit) -> Response:
        """An issue or pull request with all that happened to it."""
        row = visit.db.execute(
            "select * from issues where repo_id = ? and number = ?", (visit.repo["id"], visit.place["number"])
        ).fetchone()
        if row is None:
            raise not_found()
        address = f"{visit.path}/{'pull' if row['is_pull'] else 'issues'}/{row['number']}"
        if visit.request.url.path.lower() != address.lower():
            query = visit.request.url.query
            return RedirectResponse(quote(address) + (f"?{query}" if query else ""))
        issue = visit.show.issue(visit.repo, row, single=True)
        people = visit.people()
        numbers = {
            found[0] for found in visit.db.execute("select number from issues where repo_id = ?", (visit.repo["id"],))
        }
        logins = {person["login"] for person in people}

        def markdown(text: str | None) -> Any:
            return render_markdown(text, repo_path=visit.path, numbers=numbers, logins=logins)

        labels = visit.db.execute(
            "select name from labels where repo_id = ? order by name", (visit.repo["id"],)
        ).fetchall()
        on = {label["name"] for label in issue["labels"]}
        assigned = {user["login"] for user in issue["assignees"]}
        return self._render(
            "thread.html",
            visit,
            issue=issue,
            address=address,
            timeline=timeline_of(visit.show, visit.repo, row, visit.git),
            pull=self._pull(visit, row) if row["is_pull"] else None,
            markdown=markdown,
            people=[person["login"] for person in people],
            assignable=[
                person["login"]
                for person in people
                if has_access(visit.db, visit.repo, person) and person["login"] not in assigned
            ],
            free_labels=[label["name"] for label in labels if label["name"] not in on],
            actor=visit.actor(),
        )

    def _pull(self, visit: _Visit, issue: Any) -> dict[str, Any]:
        row = pull_row(visit.db, visit.repo, issue["number"])
        now = as_of_now(row, visit.git.refs("refs/heads/"))
        files = visit.git.diff(fork_point(visit.git, now), now["head_sha"])
        added, removed = page_views.total(files)
        commits = visit.git.commits("--reverse", f"{now['base_sha']}..{now['head_sha']}")
        return {
            **now,
            "files": files,
            "added": added,
            "removed": removed,
            "commits": commits,
            "mergeable": mergeable(visit.git, now),
            "merged_by": visit.show.user_by_id(now["merged_by_id"]),
        }

    def commit(self, visit: _Visit) -> Response:
        """One commit with its diff."""
        sha = visit.git.resolve(visit.place["sha"])
        if sha is None:
            raise not_found()
        commit = visit.git.commit(sha)
        files = visit.git.diff(commit.parents[0] if commit.parents else None, sha)
        return self._render("commit.html", visit, commit=commit, files=files, total=page_views.total(files))

    def commits(self, visit: _Visit) -> Response:
        """The newest commits of the default branch."""
        sha = visit.git.resolve(visit.repo["default_branch"])
        return self._render("commits.html", visit, commits=visit.git.commits(sha, limit=100) if sha else [])

    def _found(self, visit: _Visit) -> tuple[str, str, Any]:
        """Branch (which may hold slashes) or SHA, path, and what stands there."""
        parts = visit.place["place"].strip("/").split("/")
        for cut in range(len(parts), 0, -1):
            ref, path = "/".join(parts[:cut]), "/".join(parts[cut:])
            sha = visit.git.resolve(ref)
            if sha is not None:
                entry = visit.git.entry(sha, path)
                if entry is None:
                    break
                return ref, path, entry
        raise not_found()

    def files(self, visit: _Visit) -> Response:
        """A directory or a file."""
        ref, path, entry = self._found(visit)
        facts: dict[str, Any] = {"ref": ref, "file_path": path, "crumbs": path.split("/") if path else []}
        if entry.kind == "tree":
            below = sorted(visit.git.read_tree(entry.sha), key=lambda one: (one.kind != "tree", one.path))
            return self._render("files.html", visit, entries=below, text=None, **facts)
        content = visit.git.read_blob(entry.sha)
        text = "(binary file)" if b"\0" in content else content.decode(errors="replace")
        return self._render("files.html", visit, entries=None, text=text.removesuffix("\n").split("\n"), **facts)

    def raw(self, visit: _Visit) -> Response:
        """A file's bytes, as text."""
        *_, entry = self._found(visit)
        if entry.kind != "blob":
            raise not_found()
        return PlainTextResponse(visit.git.read_blob(entry.sha), headers=page_views.HEADERS)
