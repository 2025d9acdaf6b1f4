"""The HTTP API and the page."""

import asyncio
import io
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image
from starlette.exceptions import HTTPException as AnyHTTPException

from data_manifest.errors import UserError
from evaluation.descriptors.open_image import open_image
from evaluation.metrics.certainty import RANKS
from evaluation.report.charts.style import as_css
from serve.answers import as_geojson, as_json
from serve.database_facts import facts_of, map_of
from serve.guard import PAGE, Guard
from serve.room import FullError
from serve.service import Service
from serve.uploads import length_of, photos_in, read_body

PAGE_FOLDER = Path(__file__).parent / "page"
MAX_SIDE = 1024  # pixels of a database image that is sent
QUALITY = 80
UNCALIBRATED = "min_certainty: the certainties of this database are not calibrated"
BODY = {  # for the description of the API
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"photo": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
logger = logging.getLogger(__name__)


def make_app(service: Service, token: str | None) -> FastAPI:
    """Return the application of a service; requests need the token, if there is one."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="CosPlace",
        version=version("cosplace-pipeline"),
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts of other hosts
        redoc_url=None,
    )
    app.add_middleware(Guard, token=token, count=service.metrics.count_request)
    _add_errors(app)
    _add_localize(app, service)
    _add_database(app, service)
    _add_health(app, service)
    _add_page(app)
    return app


def _add_localize(app: FastAPI, service: Service) -> None:
    limits, images = service.limits, service.localizer.images

    @app.post("/api/localize", openapi_extra={"requestBody": BODY})
    async def localize(
        request: Request,
        top: Annotated[int, Query(ge=1, le=RANKS)] = 5,
        min_certainty: Annotated[float | None, Query(ge=0, le=1)] = None,
        format: Literal["json", "geojson"] = "json",
    ) -> Response:
        """Localize the photos of a form, or the photo that is the body."""
        if min_certainty is not None and not service.localizer.is_calibrated:
            raise HTTPException(400, UNCALIBRATED)
        started = time.monotonic()
        try:
            with service.held_bytes.take(length_of(request, limits)):
                body = await read_body(request, limits.seconds)
                photos = photos_in(request.headers.get("content-type", ""), body, limits)
                async with asyncio.timeout(limits.seconds):
                    located = await service.localize(photos, top, min_certainty)
        except FullError:
            seconds = math.ceil(service.metrics.mean_seconds)
            raise HTTPException(429, "Too many photos are waiting. Try again", {"Retry-After": f"{seconds}"}) from None
        except TimeoutError:
            raise HTTPException(503, f"Not localized within {limits.seconds} seconds. Try again") from None
        service.metrics.time_request(time.monotonic() - started)
        answer = (as_geojson if format == "geojson" else as_json)(located, images)
        status = 200
        if all(photo.error for photo in located):
            answer["error"], status = located[0].error, 422
        return JSONResponse(answer, status, media_type="application/geo+json" if format == "geojson" else None)


def _add_database(app: FastAPI, service: Service) -> None:
    images, folder = service.localizer.images, service.localizer.database.images.images_folder
    facts, drawn = facts_of(service), map_of(images)

    @app.get("/api/database")
    async def database() -> dict[str, Any]:
        """Return what is served: model, dimensions, images, bounds in degrees, limits."""
        return facts

    @app.get("/api/map")
    async def density() -> dict[str, Any]:
        """Return how many database images are in squares of the UTM zone with the most images."""
        return drawn

    @app.get("/api/images/{number}", response_class=Response)
    def image(number: int, side: Annotated[int, Query(ge=16, le=MAX_SIDE)] = 320) -> Response:
        """Return a database image as WebP, with at most `side` pixels along its longer side."""
        if not 0 <= number < len(images):
            raise HTTPException(404, f"The database has the images 0 to {len(images) - 1}, not {number}")
        try:
            picture = open_image(folder / str(images["path"][number]), min_side=side)
        except UserError:
            raise HTTPException(404, f"The database image {number} cannot be opened") from None
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=QUALITY)
        return Response(buffer.getvalue(), media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return that the server answers."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return counters in the text format of Prometheus."""
        return service.metrics.text(
            photos_waiting=service.waiting.taken,
            bytes_held=service.held_bytes.taken,
            batches_total=service.batcher.batches,
        )


def _add_page(app: FastAPI) -> None:
    colours = as_css()

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "page.html")

    @app.get(f"{PAGE}colours.css", include_in_schema=False)
    async def style() -> Response:
        return Response(colours, media_type="text/css")

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

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The server failed; its log has the reason"}, 500)
