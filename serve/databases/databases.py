"""The served databases by name, and their replacement."""

from collections.abc import Sequence

from serve.databases.served import Pictures, Served


class Databases:
    """Databases by name; the first is the default. Running requests keep theirs when it is replaced."""

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
        """The databases, in the order of the command line."""
        return list(self._by_name.values())

    def get(self, name: str | None) -> Served:
        """Return the database of a name, by default the first.

        Raises:
            KeyError: No database has this name.
        """
        return self._by_name[next(iter(self._by_name)) if name is None else name]

    def replace(self, served: Sequence[Served]) -> None:
        """Replace all databases at once. The previous pictures of a name stay until its next replacement."""
        new = {each.name: each for each in served}
        replaced = (each for each in self.served if new.get(each.name) is not each)
        self._previous |= {each.name: each.pictures for each in replaced}
        self._by_name, self.reloads = new, self.reloads + 1

    def pictures(self, digest: str) -> Pictures | None:
        """Return the pictures of a current or previous database; None for another digest."""
        known = [*(each.pictures for each in self.served), *self._previous.values()]
        return next((each for each in known if each.digest == digest), None)
