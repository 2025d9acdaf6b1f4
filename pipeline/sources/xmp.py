"""What XMP says of a photo: properties as attributes or as elements, with either quote."""

import html
import re

EQUIRECTANGULAR = "equirectangular"
_SAID = re.compile(r"""(?<!/)\b((?:GPano|exif|drone-dji):\w+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)')|>([^<]*)<)""")


def read_xmp(packet: object) -> dict[str, str]:
    """Return the values of GPano, EXIF and DJI properties of an XMP packet by their names, such as exif:GPSLatitude."""
    if not isinstance(packet, bytes):
        return {}
    found: dict[str, str] = {}
    for name, *values in _SAID.findall(packet.decode("utf-8", "replace")):
        if value := html.unescape("".join(values)).strip():
            found.setdefault(name.replace("Longtitude", "Longitude"), value)  # the spelling of some DJI drones
    return found
