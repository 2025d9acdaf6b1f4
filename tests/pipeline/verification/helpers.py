"""Thirty images in SF-XL's names, and what becomes of their verification."""

import os
from pathlib import Path

import polars as pl

from data_manifest.tables import read_table
from pipeline.manifest.build_manifest import build_manifest
from pipeline.verification.verify_images import verify_images

LONG_AGO = 1_500_000_000


def name(number: int) -> str:
    return f"@0545981.19@4184971.70@10@S@@@pano{number}@@174@@@@201409@@.jpg"


def change(path: Path, content: bytes, when: int = LONG_AGO + 1) -> None:
    path.write_bytes(content)
    os.utime(path, (when, when))


def image(train: Path, number: int) -> Path:
    return train / f"37.{number // 10}" / name(number)


def verify(train: Path, **options: object) -> Path:
    artifacts = train.parent / "A"
    return verify_images(build_manifest(train, artifacts), train, artifacts, **options)  # type: ignore[arg-type]


def bad_in(checks: Path) -> dict[str, str]:
    rows = read_table(checks, "checks").filter(pl.col("status").cast(pl.String) != "ok")
    return {Path(path).name: status for path, status in rows.select("path", "status").iter_rows()}
