"""The databases that are served, by name, and their replacement by newer ones."""

from collections.abc import Sequence

from serve.databases.served import Pictures, Served


class Databases:
    """Databases by name; the first is the default. Requests that have one keep it when it is replaced."""

    def __init__(self, served: Sequence[Served]) -> None:
        self._by_name = {each.name: each for each in served}
        self._previous: dict[str, Pictures] = {}
        self.reloads = 0

    @property
    def names(self) -> list[str]:
        """The names, in the order of the command line."""
        return list(self._by_name)

    @property
    def served(self) -> list[Served]:
        """The databases, in the order of their names."""
        return list(self._by_name.values())

    def get(self, name: str | None) -> Served:
        """Return the database of a name; None is the first.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[next(iter(self._by_name)) if name is None else name]

    def replace(self, served: Sequence[Served]) -> None:
        """Replace all databases at once. The pictures of a replaced one stay until it is replaced again."""
        new = {each.name: each for each in served}
        replaced = (each for each in self.served if new.get(each.name) is not each)
        self._previous |= {each.name: each.pictures for each in replaced}
        self._by_name, self.reloads = new, self.reloads + 1

    def pictures(self, digest: str) -> Pictures | None:
        """Return the pictures of a database that is served or was before; None for another digest."""
        known = [*(each.pictures for each in self.served), *self._previous.values()]
        return next((each for each in known if each.digest == digest), None)
