"""`cosplace completion`: code that completes commands and flags in a shell."""

import argparse

import shtab


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cosplace completion`."""
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, metavar="SHELL", help="bash, zsh, tcsh or fish")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the completion code of a shell."""
    from cosplace.parser import parser_of_all

    print(shtab.complete(parser_of_all(), options.shell))
