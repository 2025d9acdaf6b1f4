"""Load a network by torch.hub or from a Python file, with the digest of the code that made it."""

import ast
import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from data_manifest.command_line.closest import closest_or
from data_manifest.errors import UserError, first_line
from data_manifest.store.recipe import digest_of, digest_of_file
from methods.entry import Entry
from methods.hub_folders import hub_folder

OWN = [file.parent for file in Path(__file__).parents[1].glob("*/__init__.py")]  # packages
HUBCONF = "hubconf.py"
SITE_PACKAGES = "site-packages"
NO_FUNCTION = "Cannot find callable"  # the message of torch.hub
BRANCHES = ("main", "master")  # the order in which torch.hub tries default branches


def load_entry(entry: Entry) -> tuple[nn.Module, str]:
    """Return the network that an entry gives, and a digest of its code.

    The code is the Python files of the repository, or the file, and those that it imports from next to it.

    Raises:
        UserError: It cannot be downloaded or loaded, or is not a torch.nn.Module with weights.
    """
    folder = folder_of(entry) or _download(entry)
    file = folder / (Path(entry.source).name if entry.is_file else HUBCONF)
    with _code_of(folder) as imported, torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
        torch.default_generator.manual_seed(0)
        module = _call(entry, folder, file)
    if not isinstance(module, nn.Module):
        raise UserError(f"{entry} returns a {type(module).__name__}, not a torch.nn.Module. Return the network.")
    if not module.state_dict():
        raise UserError(
            f"{entry} returns a network without parameters and buffers, so that its weights cannot be identified. "
            "Register them, as by register_buffer."
        )
    own = {file} if entry.is_file else {path for path in folder.rglob("*.py") if _is_code(path.relative_to(folder))}
    return module, digest_of({os.path.relpath(path, folder): digest_of_file(path) for path in own | imported})


def _is_code(path: Path) -> bool:
    """Return whether a Python file of a repository is its own, not one of a virtual environment."""
    return not any(part == SITE_PACKAGES or part.startswith(".") for part in path.parts)


def folder_of(entry: Entry) -> Path | None:
    """Return the folder of an entry's code; None if it is a repository that is not downloaded."""
    if (found := entry.github) is None:
        return Path(entry.source).resolve().parent if entry.is_file else Path(entry.source).resolve()
    branches = [found["ref"]] if found["ref"] else BRANCHES
    return next((folder.resolve() for branch in branches if (folder := _cached(found, branch)).is_dir()), None)


def _cached(found: re.Match[str], branch: str) -> Path:
    """Return the folder in torch.hub's cache of a repository on GitHub."""
    return hub_folder() / f"{found['owner']}_{found['name']}_{branch.replace('/', '_')}"


def _download(entry: Entry) -> Path:
    """Download a repository from GitHub into torch.hub's cache, and return its folder."""
    found = entry.github
    assert found is not None
    problem: BaseException | None = None
    with _code_of(hub_folder()), contextlib.redirect_stdout(sys.stderr):
        try:
            # Only a given ref may be that of a fork; this check asks GitHub's API, which limits requests.
            torch.hub.list(entry.source, skip_validation=found["ref"] is None, trust_repo=True)  # type: ignore[no-untyped-call]
        except Exception as error:  # the hub raises many types; a failing import is explained when it is repeated
            problem = error
    folder = folder_of(entry)
    if folder is None:
        where, weights = _cached(found, found["ref"] or BRANCHES[0]), hub_folder() / "checkpoints"
        reason = first_line(problem) if problem else "it is not in torch.hub's cache"
        raise UserError(
            f"Cannot download the repository {entry.source} from GitHub: {reason}. If this machine is offline, put the "
            f"repository into {where}, and the weights that it downloads into {weights}."
        ) from problem
    return folder


def _call(entry: Entry, folder: Path, file: Path) -> object:
    try:
        if not entry.is_file:
            return torch.hub.load(str(folder), entry.function, source="local", **entry.arguments)  # type: ignore[no-untyped-call]
        return _run_file(file, entry)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise UserError(f"{entry} needs the package {error.name}, which is not installed.") from error
    except Exception as error:  # code of others raises any type
        if str(error).startswith(NO_FUNCTION):
            names = _functions_in(file)
            known = closest_or(entry.function, names, f"It has: {', '.join(names) or 'none'}.")
            raise UserError(f"{file} has no function {entry.function}. {known}") from error
        offline = f" If this machine is offline, put its weights into {hub_folder() / 'checkpoints'}."
        advice = offline if isinstance(error, OSError) and not entry.is_file else ""
        raise UserError(f"{entry} fails: {type(error).__name__}: {first_line(error)}.{advice}") from error


def _run_file(file: Path, entry: Entry) -> object:
    """Import a Python file, which may import files next to it, and return what its function returns."""
    name = f"cosplace_method_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as dataclasses and pickles need it
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
        function = getattr(module, entry.function, None)
        if not callable(function):
            raise RuntimeError(NO_FUNCTION)
        return function(**entry.arguments)
    finally:
        sys.path.remove(str(file.parent))


@contextlib.contextmanager
def _code_of(folder: Path) -> Iterator[set[Path]]:
    """Yield a set that receives the files imported in this context from a folder or torch.hub's cache.

    Their modules are forgotten, because another repository may have modules of the same names.
    """
    before, files, writes_nothing = set(sys.modules), set[Path](), sys.dont_write_bytecode
    # Compiled files are compared by seconds, so that they may be older than the code that the digest is of.
    sys.dont_write_bytecode = True
    try:
        yield files
    finally:
        sys.dont_write_bytecode = writes_nothing
        for name in sys.modules.keys() - before:
            place = _place_of(sys.modules[name])
            if place and any(place.is_relative_to(each) for each in (folder, hub_folder().resolve())):
                files |= {place} if place.is_file() else set()
                del sys.modules[name]


def _place_of(module: ModuleType) -> Path | None:
    """Return the file of a module, or the folder of a namespace package; None for installed and own ones."""
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None:
        return None
    place = Path(file).resolve()
    is_own = any(place.is_relative_to(package) for package in OWN)
    return None if is_own or SITE_PACKAGES in place.parts else place


def _functions_in(file: Path) -> list[str]:
    """Return the public functions that a Python file defines or imports; raises UserError if it is not Python."""
    try:
        tree = ast.parse(file.read_text())
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read as Python: {first_line(error)}.") from error
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            names += [each.asname or each.name for each in node.names]
    return [name for name in names if not name.startswith("_")]
