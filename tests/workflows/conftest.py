"""A data set of a few small images, and Luigi run as a command."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.helpers import Luigi, run_module, write_images


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A data set of two places and four headings: two years for training, one for databases, one for queries."""
    dataset = tmp_path / "city"
    write_images(dataset / "train" / "36.14", (2015, 2016))
    for split, queries in (("val", "queries"), ("test", "queries_v1")):
        write_images(dataset / split / "database", (2017,))
        write_images(dataset / split / queries, (2018,), shift_m=2.0)
    return dataset


@pytest.fixture
def luigi(tmp_path: Path) -> Luigi:
    """Run `luigi --module workflows ...` with a configuration and an artifacts folder of the test."""

    def run(*arguments: str, config: str = "") -> CompletedProcess[str]:
        own_config, artifacts = tmp_path / "own.cfg", tmp_path / "artifacts"
        own_config.write_text(config)
        command = ("--module", "workflows", *arguments, "--artifacts-folder", str(artifacts))
        return run_module("luigi", *command, LUIGI_CONFIG_PATH=str(own_config), ARTIFACTS=str(artifacts))

    return run
