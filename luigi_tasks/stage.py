"""What all tasks have in common: settings from parameters, and completeness from artifacts.

Importing this gives Luigi the values that the pipeline needs.
"""

import contextlib
import dataclasses
import multiprocessing
import sys
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

import luigi
from luigi.task_register import TaskClassException

from data_manifest.console import configure_logging, show_user_errors
from data_manifest.settings import Settings
from data_manifest.store.find import describe
from data_manifest.store.publish import make_current
from data_manifest.store.recipe import Recipe, is_published
from luigi_tasks.command_line import explain_mistyped_words
from luigi_tasks.configuration import check_configuration
from pipeline.dataset_layout import DatasetSettings
from pipeline.execution.dask_cluster import ClusterSettings, executor_at

LUIGI_DEFAULTS = {
    # Artifacts are published whole, so that runs may overlap: no lock file is needed, nor a server to keep them apart.
    "core": {"local_scheduler": "true", "no_lock": "true", "log_level": "WARNING"},
    "worker": {"check_complete_on_run": "true"},  # a task that ended without making what it promises has failed
    # What luigi exits with; without these it would be 0 whatever happened.
    "retcode": {
        **{"already_running": "10", "missing_data": "20", "not_run": "25", "task_failed": "30"},
        **{"scheduling_error": "35", "unhandled_exception": "40"},
    },
}


def set_luigi_defaults() -> None:
    """Give Luigi the values that this pipeline needs, where no configuration file says otherwise."""
    configuration = luigi.configuration.get_config()
    for section, values in LUIGI_DEFAULTS.items():
        for name, value in values.items():
            if not configuration.has_option(section, name):
                configuration.set(section, name, value)


set_luigi_defaults()
# A worker that Luigi forks would hang: polars' threads hold locks that no thread of the copy ever releases.
multiprocessing.set_start_method("spawn", force=True)
configure_logging()
explain_mistyped_words()
sys.excepthook = show_user_errors(sys.excepthook, TaskClassException)

SettingsKind = TypeVar("SettingsKind", bound=Settings)


class Stage(luigi.Task):
    """A stage of the pipeline: complete when the artifact of its recipe is published."""

    kinds: tuple[type[Settings], ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_configuration()
        for kind in self.kinds:  # a mistake in any setting is told before work starts
            self.settings(kind)

    def settings(self, kind: type[SettingsKind]) -> SettingsKind:
        """Return the settings of a kind that the parameters give."""
        return kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})

    @property
    def dataset(self) -> DatasetSettings:
        """The folders of the data set."""
        return self.settings(DatasetSettings)

    def executor(self) -> contextlib.AbstractContextManager[Executor | None]:
        """Return what runs partitions: the workers of a cluster, or None for threads of this process."""
        return executor_at(self.settings(ClusterSettings).dask_scheduler)

    def recipe(self) -> Recipe:
        """Return what makes this stage's artifact, as inputs and settings stand today."""
        raise NotImplementedError

    def artifact(self) -> Path:
        """Return where the artifact lies, or will."""
        return self.recipe().folder(self.dataset.artifacts_folder)

    def complete(self) -> bool:
        """Return whether the artifact is published."""
        return is_published(self.artifact())


@Stage.event_handler(luigi.Event.SUCCESS)
def say_made(stage: Stage) -> None:
    """Tell what a stage has made."""
    print(f"{stage.task_family} made {describe(stage.artifact())}", flush=True)


@Stage.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def say_present(stage: Stage) -> None:
    """Tell what was there already, and make it the current one of its name."""
    make_current(stage.artifact())
    print(f"{stage.task_family}: nothing to do, there is {describe(stage.artifact())}", flush=True)
