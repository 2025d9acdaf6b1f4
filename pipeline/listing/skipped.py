"""Counts of the images that a listing leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN_FOLDERS = 5


@dataclass(frozen=True)
class Skipped:
    """Skipped images.

    Args:
        hidden_images: Number of hidden images.
        folders: Hidden and system folders, counted by name.
        other_photos: Photos in formats that are not read, counted by suffix; only of a listed bucket.
    """

    hidden_images: int = 0
    folders: Mapping[str, int] = field(default_factory=dict)
    other_photos: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The counts for a manifest's summary."""
        return {"hidden_images": self.hidden_images, "skipped_folders": sum(self.folders.values())}

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        most = sorted(self.folders, key=lambda name: (-self.folders[name], name))
        names = ", ".join(most[:SHOWN_FOLDERS]) + (", ..." if len(most) > SHOWN_FOLDERS else "")
        images = f"{self.hidden_images:,} hidden images" if self.hidden_images else ""
        folders = f"{sum(self.folders.values()):,} folders ({names})" if self.folders else ""
        return " and ".join(filter(None, (images, folders)))
