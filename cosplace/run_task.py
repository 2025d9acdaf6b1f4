"""Run the Luigi task of a command, and name the next command."""

import shlex
from pathlib import Path

from luigi.cmdline_parser import CmdlineParser
from luigi.retcodes import run_with_retcodes

from cosplace.commands import TASKS
from cosplace.stage_progress import showing_progress
from data_manifest.errors import UserError
from data_manifest.images.images_folder import as_images_folder
from data_manifest.settings import flag_of
from evaluation.report.settings import PAGE
from evaluation.test_sets.named_sets import NAMED_SETS
from luigi_tasks.evaluation import TRAINING_ONLY
from luigi_tasks.given_model import NETWORK, is_evaluation
from luigi_tasks.parameters import parameters_of, words_of
from methods.settings import FLAGS, METHOD_INPUTS
from pipeline.dataset_layout import PHOTOS, PartSettings
from pipeline.sources.make_source import source_of
from pipeline.verification.settings import CheckSettings

FOLLOWING = {  # the next command, with the same flags
    **dict.fromkeys(("manifest", "verify", "split"), "groups"),
    **dict.fromkeys(("groups", "pack"), "train"),
}


def run_task(task: str, name: str, values: dict[str, str], config: str | None, workers: int | None) -> int:
    """Run the task of a command with the given parameters and return Luigi's exit status."""
    values = completed(name, values)
    words = ["--module", "workflows", task, *flags_of(values)]
    if workers:
        words += ["--workers", str(workers)]
    with showing_progress() as progress:
        status = _exit_status(words)
    if progress.durations:
        print(f"Stages: {progress.summary()}")
    if status == 0:
        with CmdlineParser.global_instance(words) as parser:
            artifact = parser.get_task_obj().artifact()
        if step := next_step(name, artifact, values | ({"config": config} if config else {})):
            print(step)
    return status


def completed(name: str, values: dict[str, str]) -> dict[str, str]:
    """Return the parameters of a command with those that follow from its arguments.

    Raises:
        UserError: A parameter of the training is given for a model that is already trained.
    """
    model = next((values[name] for name in ("model", *FLAGS) if name in values), None)
    if model and (unused := sorted(values.keys() & {*TRAINING_ONLY} - {*NETWORK, "resume_model"})):
        flags = ", ".join(map(flag_of, unused))
        raise UserError(f"{flags}: no effect, because {model} is already trained. Leave it out.")
    if name == "embed":
        source = source_of(as_images_folder(values["photos_folder"]))
        return {"part": PHOTOS, "source": source, **values}
    if name == "report" and is_evaluation(values.get("model", "")):
        return {"evaluation": values["model"], **{key: value for key, value in values.items() if key != "model"}}
    return values


def flags_of(values: dict[str, str]) -> list[str]:
    """Return parameters and their values as words of a command line."""
    return [word for name, value in values.items() for word in words_of(name, value)]


def next_step(name: str, artifact: Path, given: dict[str, str]) -> str | None:
    """Return what to do after a command that published an artifact, or None if nothing follows."""
    words: tuple[str, ...]
    match name, given.get("part", PartSettings.part):
        case "report", _:
            return f"Open {artifact / PAGE}"
        case "evaluate", _ if (file := _prediction_file(artifact)) is not None:
            return f"Predictions for mapillary_sls: {file}"
        case (("train" | "evaluate" | "seeds"), _):
            words = {"train": "evaluate", "evaluate": "report", "seeds": "show"}[name], str(artifact)
        case "embed", _:
            inputs = [word for key in METHOD_INPUTS if key in given for word in words_of(key, given[key])]
            inputs = [word for word in inputs if word != "true"]  # `localize --trust-repo` takes no value
            words = "localize", "--model", given.get("model", "MODEL"), *inputs, "--database", str(artifact), "PHOTO"
        case "manifest", part if part == PHOTOS:
            words = "advise", str(artifact)
        case (("manifest" | "verify"), part) if part != PartSettings.part:
            return None
        case _ if following := FOLLOWING.get(name):
            known = {"config", *parameters_of(TASKS[following])}
            if name == "verify":
                given = {**given, "verified": given.get("check", CheckSettings.check)}
            if name == "pack":
                given = {**given, "packs": str(artifact)}
            words = following, *flags_of({key: value for key, value in given.items() if key in known})
        case _:
            return None
    return f"Next: cosplace {shlex.join(words)}"


def _prediction_file(evaluation: Path) -> Path | None:
    """Return the file of predictions of an evaluation without ground truth; None of others."""
    files = (evaluation / each.prediction_file for each in NAMED_SETS.values() if each.prediction_file)
    return next(filter(Path.is_file, files), None)


def _exit_status(words: list[str]) -> int:
    try:
        run_with_retcodes(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
