"""Suggestions for mistyped words."""

import difflib
import re
from collections.abc import Collection

MAX_SUGGESTIONS = 3
MIN_SIMILARITY = 0.6  # difflib's ratio: 0.93 for cosplce and cosplace, 0.75 for task and dask


def closest(word: str, known: Collection[str], min_similarity: float = MIN_SIMILARITY) -> list[str]:
    """Return the known words that start with a word or are similar, best first, whatever the case and punctuation."""
    completed = sorted((each for each in known if each.lower().startswith(word.lower())), key=len)
    by_letters = {letters_of(each): each for each in known}
    similar = difflib.get_close_matches(letters_of(word), by_letters, cutoff=min_similarity)
    return list(dict.fromkeys([*completed, *(by_letters[each] for each in similar)]))[:MAX_SUGGESTIONS]


def closest_or(word: str, known: Collection[str], otherwise: str) -> str:
    """Return a sentence that names the closest known words, or another sentence if none is close."""
    found = closest(word, known)
    return f"Closest: {', '.join(found)}." if found else otherwise


def letters_of(word: str) -> str:
    """Return the letters and digits of a word in lower case."""
    return re.sub(r"[\W_]", "", word).lower()
