"""Show databases: their models and sizes, their maps, and their images."""

import dataclasses
import math
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Response
from PIL import Image

from data_manifest.errors import UserError
from evaluation.descriptors.open_image import open_image
from serve.answers import IMAGES
from serve.api.chosen_database import database_of
from serve.databases.served import Served
from serve.photos.uploads import as_webp, readable_formats
from serve.service import Service
from serve.settings import ServerSettings

MAX_SIDE = 1024  # pixels of the longer side of a sent image


def add_databases(app: FastAPI, service: Service, settings: ServerSettings) -> None:
    """Add the requests about databases."""
    chosen = Depends(database_of(service.databases))
    common = {
        "limits": dataclasses.asdict(settings.limits),
        "formats": list(readable_formats().values()),
        "tiles": settings.tiles and dataclasses.asdict(settings.tiles),
    }

    @app.get("/api/database")
    async def database(served: Annotated[Served, chosen]) -> dict[str, Any]:
        """Return a database: model, dimensions, images, bounds in degrees; the names of all; limits and tiles."""
        names = {"name": served.name, "digest": served.digest, "databases": service.databases.names}
        return {**names, **served.facts, **common}

    @app.get("/api/map")
    def density(
        served: Annotated[Served, chosen],
        bounds: Annotated[list[float] | None, Query(min_length=4, max_length=4)] = None,
    ) -> dict[str, Any]:
        """Return the number of images per square of a view (west, south, east, north), by default of the whole map."""
        if bounds is None:
            return served.overview
        west, south, east, north = bounds
        if not (all(map(math.isfinite, bounds)) and west <= east and south <= north):
            order = "west, south, east and north, with west <= east and south <= north"
            raise HTTPException(400, f"bounds: must be {order}, not {bounds}")
        return served.map.squares((west, south, east, north))

    @app.get(f"/{IMAGES}/{{digest}}/{{number}}", response_class=Response)
    def image(digest: str, number: int, side: Annotated[int, Query(ge=16, le=MAX_SIDE)] = 320) -> Response:
        """Return a database image as WebP, reduced to `side` pixels along its longer side."""
        pictures = service.databases.pictures(digest)
        if pictures is None:
            raise HTTPException(404, "The database of this image is no longer served. Localize the photo again")
        if not 0 <= number < len(pictures):
            raise HTTPException(404, f"The database has the images 0 to {len(pictures) - 1}, not {number}")
        try:
            picture = open_image(pictures.path(number), min_side=side)
        except UserError:
            raise HTTPException(404, f"The database image {number} cannot be opened") from None
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        return Response(as_webp(picture), media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})
