"""The page on own photos shows the commands in their order."""

from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "guides" / "own-data.md").read_text()


def test_page_shows_the_five_commands() -> None:
    block = PAGE.split("## From phone photos to a model")[1].split("```")[1]
    commands = [line.split()[1] for line in block.strip().splitlines()]
    assert commands == ["manifest", "advise", "split", "train", "evaluate"]
