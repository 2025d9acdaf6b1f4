"""What makes a report the one it is. Imports no matplotlib, so that asking whether it is there is quick."""

from data_manifest.store.recipe import Recipe
from evaluation.report.settings import ReportSettings

STAGE, VERSION = "report", 2
PAGE = "report.html"


def report_recipe(name: str, evaluation_digest: str, settings: ReportSettings) -> Recipe:
    """Return what makes a report: an evaluation, whose digest covers all that led to it, and what is shown."""
    return Recipe(STAGE, name, VERSION, settings.as_dict(), {"evaluation": evaluation_digest})
