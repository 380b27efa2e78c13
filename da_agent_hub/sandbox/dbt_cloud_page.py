"""A run's page, at the address that dbt Cloud gives it: what ran, how it ended and what each step said."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .dbt_cloud import DbtCloud
from .github import page_views
from .github.errors import not_found
from .github.pages import error_page


def run_page(cloud: DbtCloud) -> Route:
    """The route of every run's page; it needs no token, as the pages of issues need none."""
    jinja = Environment(
        loader=PackageLoader("da_agent_hub.sandbox.github", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["moment"] = page_views.moment

    def show(request: Request) -> Response:
        place = request.path_params
        run = cloud.archive.get(place["run"])
        project = next((one for one in cloud.world.projects if one.dbt_cloud_project_id == place["project"]), None)
        known = run is not None and project is not None and run.project_id == project.dbt_cloud_project_id
        if not known or place["account"] != cloud.world.account_id:
            return error_page(not_found())
        assert run is not None
        shape = cloud.shapes.run(run, {"job", "run_steps", "debug_logs"})
        html = jinja.get_template("run.html").render(run=shape, project=project)
        return HTMLResponse(html, headers=page_views.HEADERS)

    return Route("/deploy/{account:int}/projects/{project:int}/runs/{run:int}/", show)
