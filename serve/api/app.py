"""The application: the API, the page, and the answers to errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from evaluation.report.page.render_page import base_style
from serve.api.guard import PAGE, Guard
from serve.api.keep_results import add_results
from serve.api.localize_photos import add_localize
from serve.api.show_databases import add_databases
from serve.databases.reloader import Reloader
from serve.service import Service
from serve.settings import ServerSettings

PAGE_FOLDER = Path(__file__).parents[1] / "page"


def make_app(service: Service, settings: ServerSettings, reloader: Reloader) -> FastAPI:
    """Return the application of a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running(), reloader.running():
            yield

    app = FastAPI(
        title="CosPlace",
        version=version("cosplace-pipeline"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from other hosts
        redoc_url=None,
    )
    app.add_middleware(Guard, token=settings.token, count=service.metrics.count_request, tiles=settings.tiles)
    _add_errors(app)
    add_localize(app, service)
    add_databases(app, service, settings)
    add_results(app, service)
    _add_health(app, service)
    _add_page(app)
    return app


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return ok while the server answers."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return counters in the text format of Prometheus."""
        return service.metrics.text(
            photos_waiting=service.waiting.taken,
            bytes_held=service.held_bytes.taken,
            results_kept=len(service.results),
            batches_total=service.batcher.batches,
            reloads_total=service.databases.reloads,
        )


def _add_page(app: FastAPI) -> None:
    base = base_style()

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "page.html")

    @app.get(f"{PAGE}base.css", include_in_schema=False)
    async def style() -> Response:
        return Response(base, media_type="text/css")

    app.mount(PAGE, StaticFiles(directory=PAGE_FOLDER))


def _add_errors(app: FastAPI) -> None:
    """Answer errors as {"error": reason}."""

    @app.exception_handler(AnyHTTPException)
    async def refused(_: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)
