"""Mistakes in a configuration file."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from luigi.configuration import LuigiConfigParser

from data_manifest.errors import UserError
from luigi_tasks.configuration import check_configuration
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def _tasks() -> None:
    """Register the tasks; not at the top, since the import sets up logging for all tests."""
    import workflows  # noqa: F401


def use(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Luigi read only a configuration file with this content."""
    (tmp_path / "luigi.cfg").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUIGI_CONFIG_PATH", raising=False)
    monkeypatch.setattr(LuigiConfigParser, "_instance", None)
    monkeypatch.setattr(LuigiConfigParser, "_config_paths", ["luigi.cfg"])


@pytest.mark.parametrize(
    "section",
    [
        *("CosPlace", "COSPLACE", "cosplace ", "cos_place", "cos-place", "cosplce", "cosplaces", "cosplace_train"),
        *("training", "Evaluation", "BuildGroups", "build_groups", "TrainCosPlace", "TrainCosPlaces", "WriteReport"),
    ],
)
def test_misspelled_section_is_refused(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(f"[core]\nlog_level = ERROR\n[{section}]\nM = 77\nhost = x\n", tmp_path, monkeypatch)
    with pytest.raises(UserError, match="is not read") as error:
        check_configuration()
    assert str(error.value) == f"luigi.cfg, line 3: [{section}] is not read. Parameters go in [cosplace]."


MISTAKES = {
    "dask": ("[Dask]\nscheduler = x\n", "line 1: [Dask] is not read. Parameters go in [dask]."),
    "cluster": ("[dask_cluster]\naddress = x\n", "line 1: [dask_cluster] is not read. Parameters go in [dask]."),
    "only our names": (
        "[settings]\nM = 3\nalpha = 9\n",
        "line 1: [settings] is not read. Parameters go in [cosplace].",
    ),
    "default section": ("[DEFAULT]\nM = 3\n", "line 2: [DEFAULT] M is not supported. Parameters go in [cosplace]."),
    "misspelt default": ("[DEFAULT]\nbach_size = 3\n", "line 2: [DEFAULT] bach_size is not supported. Parameters go"),
    "other case": ("[cosplace]\nm = 3\n", "line 2: [cosplace] m: no such parameter. Closest: M."),
    "dashes": ("[cosplace]\ntrain-folder = x\n", "[cosplace] train-folder: no such parameter. Closest: train_folder."),
    "nothing like it": ("[cosplace]\nqqqqqqqq = x\n", "line 2: [cosplace] qqqqqqqq: no such parameter."),
    "other section": (
        "[cosplace]\ndask_scheduler = x\n",
        "dask_scheduler: no such parameter. Closest: [dask] scheduler.",
    ),
    "misspelt in dask": ("[dask]\nscheduller = x\n", "[dask] scheduller: no such parameter. Closest: scheduler."),
    "not for dask": ("[dask]\nM = 3\n", "[dask] M: no such parameter. Closest: [cosplace] M."),
    "percent": ("[core]\n# 5%\nlog_level = 5%\n", "line 3: [core] log_level = 5%: write %% for a percent sign."),
    "reference": ("[cosplace]\nM = %(side)s\n", "line 2: [cosplace] M = %(side)s: side is not set."),
    "variable": ("[cosplace]\nM = ${NO_SIDE}\n", "M = ${NO_SIDE}: the environment variable NO_SIDE is not set."),
    "percent by default": ("[DEFAULT]\nroot = 5%\n[cosplace]\nM = %(root)s\n", "[DEFAULT] root = 5%: write %% for"),
}


@pytest.mark.parametrize(("content", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_refused(content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(content, tmp_path, monkeypatch)
    with pytest.raises(UserError) as error:
        check_configuration()
    assert message in str(error.value)
    assert str(error.value).startswith("luigi.cfg, line ")


@pytest.mark.filterwarnings("ignore:The use of the configuration:DeprecationWarning")
def test_sections_of_luigi_and_references_to_other_values_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sections = "core worker retcode scheduler email smtp sendgrid batch_email batch-notifier execution_summary cors"
    sections += " resources logging task_history task-history hdfs s3 spark mysql prometheus datadog"
    content = "".join(f"[{section}]\nx = 1\n" for section in sections.split())
    use(f"{content}[DEFAULT]\nroot = /d\n[cosplace]\ntrain_folder = %(root)s/50%%\n", tmp_path, monkeypatch)
    check_configuration()
    assert not caplog.records
    import workflows

    task: Any = workflows.BuildGroups
    assert str(task().train_folder) == "/d/50%"


def test_sections_of_other_programs_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use("[retcodes]\ntask_failed = 3\n\n[OurOtherJob]\nM = 3\nhost = x\n\n[resources]\nM = 2\n", tmp_path, monkeypatch)
    check_configuration()
    assert caplog.messages == ["WARNING: luigi.cfg, line 1: [retcodes] is not read. Closest: [retcode]."]


def test_missing_and_unreadable_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use("", tmp_path, monkeypatch)
    monkeypatch.setenv("LUIGI_CONFIG_PATH", "mine.cfg")
    with pytest.raises(UserError, match=r"LUIGI_CONFIG_PATH = mine.cfg: no such file"):
        check_configuration()
    monkeypatch.delenv("LUIGI_CONFIG_PATH")
    (tmp_path / "luigi.cfg").unlink()
    (tmp_path / "luigi.cfg").mkdir()
    with pytest.raises(UserError, match=r"luigi.cfg cannot be read: Is a directory"):
        check_configuration()


def test_own_configuration_overrides_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[core]\nautoload_range = false\nlog_level = ERROR\n[cosplace]\nM = 50\n")
    code = (
        "import workflows, luigi; configuration = luigi.configuration.get_config();"
        "print(configuration.get('core', 'log_level'), configuration.get('retcode', 'task_failed'),"
        "workflows.BuildGroups().M, configuration.get('core', 'local_scheduler'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("LUIGI_CONFIG_PATH", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["ERROR", "30", "50.0", "true"]
