"""`?database=NAME` of requests."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import HTTPException, Query

from serve.databases.databases import Databases
from serve.databases.served import Served


def database_of(databases: Databases) -> Callable[..., Awaitable[Served]]:
    """Return a dependency of FastAPI: the database that `?database=NAME` chooses, by default the first."""

    async def chosen(
        database: Annotated[str | None, Query(description="name of the database; by default the first")] = None,
    ) -> Served:
        try:
            return databases.get(database)
        except KeyError:
            known = ", ".join(databases.names)
            raise HTTPException(404, f"No database {database}. Available: {known}") from None

    return chosen
