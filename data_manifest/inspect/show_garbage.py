"""The report of garbage collection as text."""

from typing import Any

from data_manifest.inspect.bars import table
from data_manifest.store.files import format_bytes


def show_garbage(report: dict[str, Any]) -> str:
    """Return the report of `collect_garbage` as text."""
    dry_run, removed = report["dry_run"], report["removed"]
    header = ("would be removed" if dry_run else "removed", "", "size", "frees" if dry_run else "freed")
    rows = [(each["what"], each["path"], format_bytes(each["bytes"]), format_bytes(each["freed"])) for each in removed]
    count = len(report["kept"])
    kept = f"{count:,} artifact{'s' if count != 1 else ''} kept"
    freed = f"{format_bytes(report['freed'])} {'would be freed' if dry_run else 'freed'}, {kept}"
    lines = [*table([header, *rows], left=(0, 1)), freed] if removed else [f"nothing to remove, {kept}"]
    return "\n".join([*lines, *report["notes"]])
