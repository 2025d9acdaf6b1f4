"""Settings and recipe of a report. Imports no matplotlib, so that checking for a published report is fast."""

from dataclasses import dataclass

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from data_manifest.store.recipe import Recipe

STAGE = "report"
VERSION = 4  # raise when equal inputs give other sections or figures
PAGE = "report.html"


@dataclass(frozen=True)
class ReportSettings(Settings):
    """Choices of what the report shows."""

    title = "Report"

    report_queries: int = setting(
        200, "queries shown with pictures: half are the worst, half a random sample (all if there are fewer)"
    )

    def check(self) -> None:
        """Refuse a negative number of queries."""
        if self.report_queries < 0:
            raise UserError(f"report_queries = {self.report_queries}: expected 0 or more.")


def report_recipe(name: str, evaluation_digest: str, settings: ReportSettings) -> Recipe:
    """Return the recipe of a report on the evaluation with this digest."""
    return Recipe(STAGE, name, VERSION, settings.as_dict(), {"evaluation": evaluation_digest})
