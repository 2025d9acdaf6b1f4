"""Kept results, and the links that show them."""

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import RedirectResponse

from serve.photos.kept_results import KEPT_S, KeptResult
from serve.service import Service

RESULTS, PHOTO = "api/results", "photo"  # parts of addresses
GONE = f"This result is no longer kept: results are dropped after {KEPT_S / 60:.0f} minutes at the latest"


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

    @app.get(f"/{RESULTS}/{{key}}/{PHOTO}", response_class=Response)
    async def photo(key: str) -> Response:
        """Return the photo of a kept result, reduced, as WebP."""
        return Response(kept(key).picture, media_type="image/webp")

    @app.get("/result/{key}", include_in_schema=False)
    async def link(key: str) -> RedirectResponse:
        """Show a kept result in the page."""
        return RedirectResponse(f"../#result={key}", 303)
