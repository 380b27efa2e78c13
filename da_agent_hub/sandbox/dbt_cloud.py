"""dbt Cloud's Admin API v2, as far as the hub reads it, over the runs of a sandbox and jobs that really run dbt.

Shapes, parameters and status numbers: https://docs.getdbt.com/dbt-cloud/api-v2
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .dbt_cloud_shapes import Shapes, moment
from .dbt_jobs import Job
from .job_queue import JobQueue
from .run_archive import Run, RunArchive
from .world import World, WorldProject


class ApiError(Exception):
    """An answer other than 200, in dbt Cloud's shape."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {
                "status": {"code": code, "is_success": False, "user_message": message, "developer_message": ""},
                "data": data,
            },
            status_code=code,
        )


def create_app(world: World) -> Starlette:
    """The API of a world's account as an application of its own; its queue runs while the application does."""
    api = DbtCloud(world)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        api.queue.start()
        try:
            yield
        finally:
            api.queue.stop()

    return Starlette(routes=api.routes(), lifespan=lifespan)


class DbtCloud:
    """One account; the routes are under ``/api/v2``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.archive = RunArchive(world.archive_folder)
        self.queue = JobQueue(world, self.archive)
        self._jobs = {job.id: (project, job) for project in world.projects for job in project.jobs}
        self.shapes = Shapes(world, self.archive, self._jobs)

    def routes(self) -> list[BaseRoute]:
        """Every path, with the slash at its end that dbt Cloud asks for."""
        account = "/api/v2/accounts/{account:int}"
        return [
            Route("/api/v2/accounts/", self._guarded(self.accounts)),
            Route(f"{account}/", self._guarded(self.account)),
            Route(f"{account}/projects/", self._guarded(self.projects)),
            Route(f"{account}/projects/{{project:int}}/", self._guarded(self.project)),
            Route(f"{account}/environments/", self._guarded(self.environments)),
            Route(f"{account}/environments/{{environment:int}}/", self._guarded(self.environment)),
            Route(f"{account}/jobs/", self._guarded(self.jobs)),
            Route(f"{account}/jobs/{{job:int}}/", self._guarded(self.job)),
            Route(f"{account}/jobs/{{job:int}}/run/", self._guarded(self.trigger), methods=["POST"]),
            Route(f"{account}/runs/", self._guarded(self.runs)),
            Route(f"{account}/runs/{{run:int}}/", self._guarded(self.run)),
            Route(f"{account}/runs/{{run:int}}/cancel/", self._guarded(self.cancel), methods=["POST"]),
            Route(f"{account}/runs/{{run:int}}/artifacts/", self._guarded(self.artifacts)),
            Route(f"{account}/runs/{{run:int}}/artifacts/{{path:path}}", self._guarded(self.artifact)),
            *(
                Route(path, self._guarded(self.nothing), methods=["GET", "POST", "DELETE", "PATCH", "PUT"])
                for path in ("/api/v2", "/api/v2/{rest:path}")
            ),
        ]

    def _guarded(
        self, answer: Callable[[Request], Response | Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            try:
                self._authenticate(request)
                result = answer(request)
                return result if isinstance(result, Response) else await result
            except ApiError as error:
                return error.response

        return checked

    def _authenticate(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind not in ("Token", "Bearer") or token.strip() != self.world.dbt_cloud_token:
            raise ApiError(401, "Invalid token" if token else "Authentication credentials were not provided.")
        if request.path_params.get("account", self.world.account_id) != self.world.account_id:
            raise ApiError(
                404, "The requested resource was not found. Please check that you have the proper permissions."
            )

    def nothing(self, _request: Request) -> Response:
        """Paths that are not served, those without their last slash among them."""
        raise ApiError(404, "Not found.")

    # accounts, projects, environments, jobs

    def accounts(self, request: Request) -> Response:
        """The one account."""
        return _listed(request, [self.shapes.account()])

    def account(self, _request: Request) -> Response:
        """The account."""
        return _one(self.shapes.account())

    def projects(self, request: Request) -> Response:
        """All projects."""
        return _listed(request, [self.shapes.project(project) for project in self.world.projects])

    def project(self, request: Request) -> Response:
        """One project."""
        return _one(
            _found(
                self.shapes.project(one)
                for one in self.world.projects
                if one.dbt_cloud_project_id == request.path_params["project"]
            )
        )

    def environments(self, request: Request) -> Response:
        """All environments, or a project's."""
        wanted = _number(request, "project_id")
        return _listed(
            request,
            [self.shapes.environment(one) for one in self.world.projects if wanted in (None, one.dbt_cloud_project_id)],
        )

    def environment(self, request: Request) -> Response:
        """One environment."""
        return _one(
            _found(
                self.shapes.environment(one)
                for one in self.world.projects
                if one.environment_id == request.path_params["environment"]
            )
        )

    def jobs(self, request: Request) -> Response:
        """All jobs, or those of a project or environment."""
        project, environment = _number(request, "project_id"), _number(request, "environment_id")
        with_environment = "environment" in _related(request)
        return _listed(
            request,
            [
                self.shapes.job(job) | ({"environment": self.shapes.environment(one)} if with_environment else {})
                for one, job in self._jobs.values()
                if project in (None, job.project_id) and environment in (None, job.environment_id)
            ],
        )

    def job(self, request: Request) -> Response:
        """One job."""
        return _one(self.shapes.job(self._known_job(request)[1]))

    def _known_job(self, request: Request) -> tuple[WorldProject, Job]:
        found = self._jobs.get(request.path_params["job"])
        if not found:
            raise ApiError(
                404, "The requested resource was not found. Please check that you have the proper permissions."
            )
        return found

    async def trigger(self, request: Request) -> Response:
        """Queue a run of the job on main as it is now; ``cause`` is required."""
        project, job = self._known_job(request)
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise ApiError(400, "JSON parse error") from None
        if not isinstance(body, dict) or not isinstance(body.get("cause"), str) or not body["cause"].strip():
            raise ApiError(
                400,
                "The request was invalid. Please double check the provided data and try again.",
                {"cause": ["This field is required."]},
            )
        override = body.get("steps_override") or []
        if not isinstance(override, list) or not all(
            isinstance(step, str) and step.startswith("dbt ") for step in override
        ):
            raise ApiError(
                400,
                "The request was invalid. Please double check the provided data and try again.",
                {"steps_override": ["Must be a list of dbt commands."]},
            )
        return _one(self.shapes.run(self.queue.add(project, job, body["cause"], tuple(override))))

    # runs

    def runs(self, request: Request) -> Response:
        """Runs, filtered, ordered and paged."""
        query = request.query_params
        runs = self.archive.runs()
        for name, attribute in (
            ("project_id", "project_id"), ("environment_id", "environment_id"),
            ("job_definition_id", "job_id"), ("status", "status"), ("pk", "id"),
        ):  # fmt: skip
            wanted = _number(request, name)
            if wanted is not None:
                runs = [run for run in runs if getattr(run, attribute) == wanted]
        for name, attribute in (("status__in", "status"), ("pk__in", "id"), ("project_id__in", "project_id")):
            if name in query:
                allowed = _numbers(name, query[name])
                runs = [run for run in runs if getattr(run, attribute) in allowed]
        after = _number(request, "id__gt")
        if after is not None:
            runs = [run for run in runs if run.id > after]
        for name, attribute in (("finished_at__range", "finished_at"), ("created_at__range", "created_at")):
            if name in query:
                since, until = _range(name, query[name])
                runs = [run for run in runs if since <= moment(getattr(run, attribute)) <= until]
        order = query.get("order_by", "id")
        key = order.removeprefix("-")
        if key not in ("id", "created_at", "finished_at"):
            raise ApiError(400, f"Invalid order_by: {order}")
        runs.sort(
            key=lambda run: (run.id if key == "id" else moment(getattr(run, key)), run.id),
            reverse=order.startswith("-"),
        )
        return _listed(
            request, runs, render=lambda run: self.shapes.run(run, _related(request) - {"run_steps", "debug_logs"})
        )

    def run(self, request: Request) -> Response:
        """One run; its steps with ``include_related=run_steps``."""
        return _one(self.shapes.run(self._known_run(request), _related(request)))

    def cancel(self, request: Request) -> Response:
        """Take a run that waits out of the queue; one that works already ends by itself."""
        run = self._known_run(request)
        if run.finished:
            raise ApiError(400, "This run has already completed.")
        return _one(self.shapes.run(self.queue.cancel(run)))

    def _known_run(self, request: Request) -> Run:
        run = self.archive.get(request.path_params["run"])
        if not run:
            raise ApiError(
                404, "The requested resource was not found. Please check that you have the proper permissions."
            )
        return run

    def artifacts(self, request: Request) -> Response:
        """The paths of a run's artifacts, those of its last step unless ``step`` says another."""
        run = self._known_run(request)
        step = self._step(request, run)
        return _one(self.archive.artifacts(run.id, step) or None)

    def artifact(self, request: Request) -> Response:
        """One artifact as the step left it, whichever command wrote it."""
        run = self._known_run(request)
        content = self.archive.artifact(run.id, self._step(request, run), request.path_params["path"])
        if content is None:
            raise ApiError(
                404, "The requested resource was not found. Please check that you have the proper permissions."
            )
        return Response(content, media_type="application/json")

    def _step(self, request: Request, run: Run) -> int:
        step = _number(request, "step")
        if step is not None:
            return step
        return max((one.index for one in run.steps if one.finished_at), default=0)


def _found(found: Any) -> Any:
    for one in found:
        return one
    raise ApiError(404, "The requested resource was not found. Please check that you have the proper permissions.")


def _envelope(data: Any, extra: dict[str, Any] | None = None) -> JSONResponse:
    body = {
        "status": {"code": 200, "is_success": True, "user_message": "Success!", "developer_message": ""},
        "data": data,
    }
    return JSONResponse(body | ({"extra": extra} if extra else {}))


def _one(data: Any) -> JSONResponse:
    return _envelope(data)


def _listed(request: Request, found: list[Any], render: Callable[[Any], Any] = lambda one: one) -> JSONResponse:
    limit, offset = _number(request, "limit"), _number(request, "offset") or 0
    limit = 100 if limit is None else limit
    if not 0 < limit <= 100 or offset < 0:
        raise ApiError(400, "limit must be between 1 and 100, and offset not negative")
    page = [render(one) for one in found[offset : offset + limit]]
    filters = {name: value for name, value in request.query_params.items() if name not in ("order_by",)}
    return _envelope(
        page,
        {
            "filters": {**filters, "limit": limit, "offset": offset},
            "order_by": request.query_params.get("order_by", "id"),
            "pagination": {"count": len(page), "total_count": len(found)},
        },
    )


def _related(request: Request) -> set[str]:
    text = request.query_params.get("include_related", "")
    try:
        names = json.loads(text) if text.startswith("[") else text.split(",")
    except ValueError:
        raise ApiError(400, "include_related must be a list of names") from None
    return {str(name).strip() for name in names if str(name).strip()}


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ApiError(400, f"{name} must be a number") from None


def _numbers(name: str, text: str) -> set[int]:
    try:
        return {int(number) for number in text.strip("[] ").split(",") if number.strip()}
    except ValueError:
        raise ApiError(400, f"{name} must be a list of numbers") from None


def _range(name: str, text: str) -> tuple[datetime, datetime]:
    try:
        since, until = json.loads(text)
        return moment(since), moment(until)
    except (ValueError, TypeError):
        raise ApiError(
            400, f'{name} must be a list of two times: ["2026-01-01T00:00:00Z","2026-01-02T00:00:00Z"]'
        ) from None
