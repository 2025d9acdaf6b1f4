"""The settings of a report."""

from dataclasses import dataclass

from data_manifest.errors import UserError
from data_manifest.settings import Settings, setting


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
