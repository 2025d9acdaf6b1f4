"""The settings of a report."""

from dataclasses import dataclass

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting
from data_manifest.store.recipe import Recipe

STAGE, VERSION = "report", 2
PAGE = "report.html"


@dataclass(frozen=True)
class ReportSettings(Settings):
    """What the report shows beside the figures."""

    report_queries: int = setting(
        200, "queries shown with pictures, half of them the worst, half a random sample; all if there are fewer"
    )

    def check(self) -> None:
        """Refuse less than no pictures."""
        if self.report_queries < 0:
            raise UserError(f"report_queries = {self.report_queries}: how many queries to show, from 0 up")


def report_recipe(name: str, evaluation_digest: str, settings: ReportSettings) -> Recipe:
    """Return what makes a report: an evaluation, whose digest covers all that led to it, and what is shown."""
    return Recipe(STAGE, name, VERSION, settings.as_dict(), {"evaluation": evaluation_digest})
