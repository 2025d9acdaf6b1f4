"""Draw photos and their best matches side by side, one row per photo."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from data_manifest.errors import StoreError, UserError
from data_manifest.images.images_folder import ImagesFolder, as_images_folder
from evaluation.descriptors.open_image import open_image
from evaluation.localization.located import Located, Match
from evaluation.localization.show_located import CHANGED, spread

SIDE, GAP, LINE = 240, 12, 18  # pixels
BACKGROUND, INK, TILE = (255, 255, 255), (20, 20, 20), (225, 225, 225)
LINES = 3
MAX_JPEG_HEIGHT = 65_500  # pixels, of libjpeg


def check_panel(path: Path) -> None:
    """Check that a panel can be written to a path.

    Raises:
        UserError: Its folder does not exist, or its suffix is not that of an image format.
    """
    if not path.parent.is_dir():
        raise UserError(f"--panel {path}: no such folder {path.parent}")
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise UserError(f"--panel {path}: its suffix is not that of an image format that can be written. Use .png")


def draw_panel(located: Sequence[Located], images_folder: ImagesFolder, path: Path) -> None:
    """Draw photos and their matches to an image file; `images_folder` is that of the database.

    Raises:
        UserError: No photo has a match, or the file cannot be written.
    """
    rows = [each for each in located if each.matches]
    if not rows:
        raise UserError(f"--panel {path}: no photo has a match to draw")
    columns = 1 + max(len(each.matches) for each in rows)
    tile_height = SIDE + LINES * LINE + GAP
    width, height = GAP + columns * (SIDE + GAP), GAP + len(rows) * tile_height
    if height > MAX_JPEG_HEIGHT and Image.registered_extensions()[path.suffix.lower()] == "JPEG":
        photos = (MAX_JPEG_HEIGHT - GAP) // tile_height
        raise UserError(f"--panel {path}: a JPEG has room for {photos} photos, not {len(rows)}. Use .png.")
    panel = Image.new("RGB", (width, height), BACKGROUND)
    for row, photo in enumerate(rows):
        top = GAP + row * tile_height
        opened = as_images_folder(photo.photo)
        _draw_tile(panel, (GAP, top), opened, ["photo", opened.name, spread(photo)])
        for column, match in enumerate(photo.matches, 1):
            _draw_tile(panel, (GAP + column * (SIDE + GAP), top), images_folder / match.path, _caption(match))
    try:
        panel.save(path)
    except (OSError, ValueError) as error:  # ValueError: the suffix has no format
        raise UserError(f"--panel {path}: {error}") from error


def _caption(match: Match) -> list[str]:
    place = f"{match.utm_east:.0f} E {match.utm_north:.0f} N"
    if match.latitude is not None and match.longitude is not None:
        place = f"{match.latitude:.5f}, {match.longitude:.5f}"
    heading = "" if match.heading is None else f"heading {match.heading:.0f}"
    facts = [f"score {match.score:.3f}", heading, "" if match.year is None else str(match.year)]
    return [f"match {match.rank}{', ' + CHANGED if match.changed else ''}", place, "  ".join(filter(None, facts))]


def _draw_tile(panel: Image.Image, corner: tuple[int, int], path: ImagesFolder, caption: list[str]) -> None:
    left, top = corner
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(size=13)
    draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill=TILE)
    try:
        thumbnail = ImageOps.contain(open_image(path, min_side=SIDE), (SIDE, SIDE))
        panel.paste(thumbnail, (left + (SIDE - thumbnail.width) // 2, top + (SIDE - thumbnail.height) // 2))
    except StoreError:
        raise
    except UserError:
        draw.text((left + GAP, top + SIDE // 2), "cannot be opened", INK, font)
    for number, text in enumerate(caption):
        draw.text((left, top + SIDE + number * LINE), _shorten(text, font), INK, font)


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while font.getlength(text) > SIDE:
        text = f"{text[:-2]}…"
    return text
