"""Keep results on request, and show them again."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import RedirectResponse

from serve.answers import LINKS, RESULTS, Found
from serve.photos.kept_results import KEPT_S, KeptResult, KeptResults
from serve.service import Service

GONE = f"This result is no longer kept: results are dropped after {KEPT_S / 60:.0f} minutes at the latest"


def keep_results(answer: dict[str, Any], found: Sequence[Found], results: KeptResults) -> None:
    """Keep the result of each localized photo, and add its link to the answer."""
    for photo, each in zip(answer["photos"], found, strict=True):
        if each.picture is None:
            continue
        key = results.new_id()
        photo["link"] = f"{LINKS}/{key}"
        kept = {**answer, "photos": [photo], "photo_picture": f"{RESULTS}/{key}/photo"}
        results.keep(key, KeptResult(json.dumps(kept).encode(), each.picture))


def add_results(app: FastAPI, service: Service) -> None:
    """Add the requests for kept results."""

    def kept(key: str) -> KeptResult:
        if (result := service.results.get(key)) is None:
            raise HTTPException(404, GONE)
        return result

    @app.get(f"/{RESULTS}/{{key}}", response_class=Response)
    async def result(key: str) -> Response:
        """Return a kept result: the answer for one photo, and the address of the photo."""
        return Response(kept(key).answer, media_type="application/json")

    @app.get(f"/{RESULTS}/{{key}}/photo", response_class=Response)
    async def photo(key: str) -> Response:
        """Return the photo of a kept result, reduced, as WebP."""
        return Response(kept(key).picture, media_type="image/webp")

    @app.get(f"/{LINKS}/{{key}}", include_in_schema=False)
    async def link(key: str) -> RedirectResponse:
        """Redirect to the page, which shows the kept result."""
        return RedirectResponse(f"../#result={key}", 303)
