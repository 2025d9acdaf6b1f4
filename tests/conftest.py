"""Log levels as in a new process: tests that configure logging for a command line do not affect others."""

import logging

import pytest

from data_manifest.console import LOGGERS


@pytest.fixture(autouse=True)
def _default_log_levels() -> None:
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
