"""The pages of the documentation, and the commands that they show."""

import re
import shlex

from tests.helpers import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
}
COMMAND = re.compile(r"^(?: *|.*`)(cosplace [a-z][^`\n]*)", re.MULTILINE)


def commands() -> list[tuple[str, list[str]]]:
    """Return all `cosplace` commands, each with its page."""
    found = [(page, words_of(line)) for page, text in PAGES.items() for line in COMMAND.findall(text)]
    return [(page, words) for page, words in found if len(words) > 1]


def words_of(line: str) -> list[str]:
    """Return the words of a command without comment, redirection and dots."""
    words = shlex.split(line, comments=True)
    return [word for word in words[: words.index(">")] if word] if ">" in words else words
