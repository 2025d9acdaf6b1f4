"""`POST /api/localize`."""

import asyncio
import math
import time
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from evaluation.localization.localize import Localizer
from evaluation.metrics.certainty import RANKS
from serve.answers import Found, as_geojson, as_json
from serve.api.chosen_database import database_of
from serve.api.keep_results import keep_results
from serve.databases.served import Served
from serve.photos.uploads import check_head, photos_in, read_body
from serve.room import FullError
from serve.service import Service, Wanted

UNCALIBRATED = "min_certainty: the certainties of this database are not calibrated"
NO_LINKS = "keep: GeoJSON has no place for links. Leave out keep or format"
BODY = {  # of the request, for /openapi.json
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


def add_localize(app: FastAPI, service: Service) -> None:
    """Add the request that localizes photos."""

    @app.post("/api/localize", openapi_extra={"requestBody": BODY})
    async def localize(
        request: Request,
        served: Annotated[Served, Depends(database_of(service.databases))],
        top: Annotated[int, Query(ge=1, le=RANKS)] = 5,
        min_certainty: Annotated[float | None, Query(ge=0, le=1)] = None,
        format: Literal["json", "geojson"] = "json",
        keep: bool = False,
    ) -> Response:
        """Localize the photos of a form, or one photo sent as the body."""
        if min_certainty is not None and not served.localizer.is_calibrated:
            raise HTTPException(400, UNCALIBRATED)
        if keep and format == "geojson":
            raise HTTPException(400, NO_LINKS)
        found = await _localize(request, service, served.localizer, Wanted(top, min_certainty, keep))
        is_json = format == "json"
        answer = (as_json if is_json else as_geojson)(found, served.localizer.images, served.digest)
        answer["database"] = served.name
        if keep:
            keep_results(answer, found, service.results)
        status = 200
        if all(each.located.error for each in found):
            answer["error"], status = found[0].located.error, 422
        return JSONResponse(answer, status, media_type=None if is_json else "application/geo+json")


async def _localize(request: Request, service: Service, localizer: Localizer, wanted: Wanted) -> list[Found]:
    """Receive the photos of a request, and localize them.

    Raises:
        HTTPException: The request is invalid, beyond a limit, or too slow.
    """
    limits, started = service.limits, time.monotonic()
    check_head(request, limits)
    try:
        with service.held_bytes.taking() as take:
            photos = photos_in(request, await read_body(request, limits.seconds, take), limits)
            async with asyncio.timeout(limits.seconds):
                found = await service.localize(photos, localizer, wanted)
    except FullError:
        seconds = math.ceil(service.metrics.mean_seconds)
        raise HTTPException(429, "Too many photos are waiting. Try again", {"Retry-After": f"{seconds}"}) from None
    except TimeoutError:
        raise HTTPException(503, f"Not localized within {limits.seconds} seconds. Try again") from None
    service.metrics.time_request(time.monotonic() - started)
    return found
