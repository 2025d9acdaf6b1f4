"""Progress of the stages of a command: `[3/6] groups`, and how long each took."""

import contextlib
from collections.abc import Iterator

import luigi

from cosplace.commands import name_of_task
from luigi_tasks.stage import Stage


class StageProgress:
    """Prints each stage when it starts, and keeps its duration."""

    def __init__(self) -> None:
        self.durations: list[tuple[str, float]] = []  # stage and seconds, in the order in which they ended
        self._discovered: set[str] = set()
        self._present: set[str] = set()
        self._num_started = 0

    def discovered(self, task: Stage, dependency: Stage) -> None:
        """Count a stage that is not up to date, and one that it needs."""
        self._discovered |= {task.task_id, dependency.task_id}

    def present(self, task: Stage) -> None:
        """Leave out a stage that is up to date."""
        self._present.add(task.task_id)

    def started(self, task: Stage) -> None:
        """Print the number and the name of a stage."""
        self._num_started += 1
        total = max(len(self._discovered - self._present), self._num_started)
        print(f"[{self._num_started}/{total}] {stage_name(task)}", flush=True)

    def ended(self, task: Stage, seconds: float) -> None:
        """Keep the duration of a stage."""
        self.durations.append((stage_name(task), seconds))

    def summary(self) -> str:
        """Return the durations in one line."""
        return ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in self.durations)


@contextlib.contextmanager
def showing_progress() -> Iterator[StageProgress]:
    """Show the progress of all stages that run inside."""
    progress = StageProgress()
    handlers = {
        luigi.Event.DEPENDENCY_DISCOVERED: progress.discovered,
        luigi.Event.DEPENDENCY_PRESENT: progress.present,
        luigi.Event.START: progress.started,
        luigi.Event.PROCESSING_TIME: progress.ended,
    }
    for event, handler in handlers.items():
        Stage.event_handler(event)(handler)
    try:
        yield progress
    finally:
        for event, handler in handlers.items():
            Stage.remove_event_handler(event, handler)


def stage_name(task: Stage) -> str:
    """Return the command of a stage and, if it has one, the part of the data set."""
    part = getattr(task, "part", None)
    return name_of_task(task.task_family) + (f" ({part})" if part else "")


def format_seconds(seconds: float) -> str:
    """Return a duration such as 0.4 s, 12 s, 3 min 5 s or 2 h 30 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
