"""Flags of the published code's `train.py` and `eval.py` whose names differ here."""

from itertools import zip_longest

from data_manifest.errors import UserError

RENAMED = {
    "--train-set-folder": "--train-folder",
    "--val-set-folder": "--val-folder",
    "--test-set-folder": "--test-folder",
}
ANSWERED = {
    "--save-dir": "Results are in --artifacts-folder.",
    "--resume-train": "Run the same command again: it resumes at the last checkpoint.",
    "--num-preds-to-save": "cosplace report --report-queries N shows queries with their matches.",
    "--save-only-wrong-preds": "cosplace report has a filter for incorrect queries.",
}
OFFICIAL = ("--resume-model", "torchhub")  # flag and value that load official weights in the published eval.py


def translate(words: list[str]) -> list[str]:
    """Return arguments with this project's names for published flags.

    Raises:
        UserError: A published flag has no counterpart; the message says what to use.
    """
    translated = []
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        flag_with_hyphens = flag.replace("_", "-")
        if (flag_with_hyphens, value or following) == OFFICIAL:
            raise UserError("torchhub: name the official model instead, as in cosplace evaluate ResNet50-512.")
        if flag_with_hyphens in ANSWERED:
            raise UserError(f"{flag} does not exist here. {ANSWERED[flag_with_hyphens]}")
        translated.append(RENAMED.get(flag_with_hyphens, flag) + equals + value)
    return translated
