"""The base class of all tasks. Importing it sets the defaults of Luigi that the pipeline needs."""

import contextlib
import dataclasses
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import luigi
from luigi.task_register import TaskClassException

from data_manifest.console import configure_logging, show_user_errors
from data_manifest.settings import Settings
from data_manifest.store.files import bytes_in, format_bytes
from data_manifest.store.publish import make_current
from data_manifest.store.recipe import Recipe, is_published, read_recipe
from luigi_tasks.command_line import improve_command_line
from pipeline.dataset_layout import ArtifactsSettings, DatasetSettings, ScanSettings
from pipeline.execution.dask_cluster import ClusterExecutor, ClusterSettings, executor_at

LUIGI_DEFAULTS = {
    # Artifacts are published by one rename, so runs may overlap without a lock file or a server.
    "core": {"local_scheduler": "true", "no_lock": "true", "log_level": "WARNING"},
    "worker": {"check_complete_on_run": "true"},  # fails a task that did not publish its artifact
    # Exit codes; Luigi's own default is 0 whatever happened.
    "retcode": {
        **{"already_running": "10", "missing_data": "20", "not_run": "25", "task_failed": "30"},
        **{"scheduling_error": "35", "unhandled_exception": "40"},
    },
}


def set_luigi_defaults() -> None:
    """Set the values that this pipeline needs, unless a configuration file sets them."""
    configuration = luigi.configuration.get_config()
    for section, values in LUIGI_DEFAULTS.items():
        for name, value in values.items():
            if not configuration.has_option(section, name):
                configuration.set(section, name, value)


set_luigi_defaults()
# A forked worker would hang on locks that the threads of polars hold in the parent.
multiprocessing.set_start_method("spawn", force=True)
configure_logging()
improve_command_line()
sys.excepthook = show_user_errors(sys.excepthook, TaskClassException)

SettingsKind = TypeVar("SettingsKind", bound=Settings)


class Stage(luigi.Task):
    """A stage of the pipeline, complete when the artifact of its recipe is published."""

    kinds: tuple[type[Settings], ...] = ()
    artifacts_folder: Path = ArtifactsSettings.artifacts_folder  # replaced by a parameter, as in every stage
    rescan: bool = ScanSettings.rescan

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in self.kinds:  # checks every setting before any work starts
            self.settings(kind)

    def settings(self, kind: type[SettingsKind]) -> SettingsKind:
        """Return the settings of one class from the parameters."""
        return kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})

    @property
    def dataset(self) -> DatasetSettings:
        """The folders of the data set."""
        return self.settings(DatasetSettings)

    def executor(self) -> contextlib.AbstractContextManager[ClusterExecutor | None]:
        """Return the executor of a Dask cluster, or None for this machine."""
        return executor_at(self.settings(ClusterSettings).dask_scheduler)

    def recipe(self) -> Recipe:
        """Return the recipe of this stage's artifact with today's inputs and settings."""
        raise NotImplementedError

    def artifact(self) -> Path:
        """Return the folder of the artifact, published or not."""
        return self.recipe().folder(self.artifacts_folder)

    def complete(self) -> bool:
        """Return whether the artifact is published."""
        return is_published(self.artifact())


@contextlib.contextmanager
def stopping_luigi() -> Iterator[None]:
    """Stop Luigi as well if training is stopped by a signal.

    A KeyboardInterrupt ends Luigi. In a worker process of Luigi multiprocessing would print a traceback for it, so
    there the task fails instead.
    """
    from training.loop.stopping import StoppedError

    try:
        yield
    except (StoppedError, KeyboardInterrupt) as stop:
        if multiprocessing.parent_process() is None:
            raise KeyboardInterrupt(*stop.args) from None
        raise StoppedError(str(stop) or "stopped: Ctrl-C") from None


@Stage.event_handler(luigi.Event.SUCCESS)
def print_done(stage: Stage) -> None:
    """Print what a stage has published."""
    folder = stage.artifact()
    size = format_bytes(bytes_in(folder))
    print(f"{stage.task_family}: done ({read_recipe(folder)['summary']['made']}), {size} in {folder}", flush=True)


@Stage.event_handler(luigi.Event.DEPENDENCY_PRESENT)
def print_up_to_date(stage: Stage) -> None:
    """Print what a stage had already published, and make it the current artifact of its name."""
    folder = stage.artifact()
    make_current(folder)
    print(f"{stage.task_family}: up to date ({read_recipe(folder)['summary']['made']}) in {folder}", flush=True)
