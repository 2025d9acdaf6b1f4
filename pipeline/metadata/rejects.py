"""Reject rules: each is declared once, as the rows that break it and the reject that these get.

A row has the parsed value of each field under the field's name, and the text of its name or table as `written`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

REJECT = pl.Struct({"reason": pl.String, "detail": pl.String})


@dataclass(frozen=True)
class Rule:
    """A reason to reject an image.

    Args:
        fails: Which rows break the rule; null counts as false.
        reject: Their struct of reason and detail, built only for rows that fail.
        strict: Whether the rule holds for training only.
        in_one_part: Whether one part of a name breaks it whatever the others are, although it reads the whole path.
    """

    fails: pl.Expr
    reject: pl.Expr
    strict: bool = True
    in_one_part: bool = False

    @property
    def columns(self) -> set[str]:
        """The columns that decide whether a row fails."""
        return set(self.fails.meta.root_names())


def written(field: str) -> pl.Expr:
    """Return a field as it is written in a name or a table."""
    return pl.col(written_column(field))


def written_column(field: str) -> str:
    """Return the column that holds a field as it is written."""
    return f"{field} as written"


def rejected(reason: str, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail."""
    return pl.struct(reason=pl.lit(str(reason)), detail=detail)


def reject_when(condition: pl.Expr, reason: str, detail: pl.Expr) -> pl.Expr:
    """Return a struct of reason and detail where the condition holds, else null: the form that `coalesce` takes."""
    return pl.when(condition.fill_null(False)).then(rejected(reason, detail))


def any_fails(rules: Iterable[Rule]) -> pl.Expr:
    """Return whether a row breaks any of the rules."""
    return pl.any_horizontal(pl.lit(False), *(rule.fails.fill_null(False) for rule in rules)).alias("fails")


def find_rejects(rows: pl.DataFrame, rules: list[Rule]) -> pl.Series:
    """Return the reject of each row by the first rule that it breaks, else null.

    Reasons and details are built only for rows that fail, which are usually few.
    """
    numbered = rows.with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt32))
    failing = numbered.filter(any_fails(rules))
    if failing.is_empty():
        return pl.Series("reject", [None], REJECT).new_from_index(0, len(rows))
    first = pl.coalesce(pl.when(rule.fails.fill_null(False)).then(rule.reject) for rule in rules)
    found = failing.select("row", reject=first)
    return numbered.select("row").join(found, on="row", how="left", maintain_order="left")["reject"]
