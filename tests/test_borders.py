"""The borders between packages, folders and files, checked by reading the imports and the tree."""

import ast
import functools
import os
import subprocess
import sys
from collections import Counter, defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGES = ("data_manifest", "pipeline", "training", "evaluation", "export", "methods", "serve")
DRAWING = {"matplotlib", "mpl_toolkits", "jinja2", "markupsafe"}
TABLES = {"numpy", "polars", "pyarrow"}
ALLOWED = {
    "data_manifest": {
        *("data_manifest", "tqdm", "PIL", "obstore", "pillow_heif", "simplejpeg", "xxhash"),
        *TABLES,
    },
    "pipeline": {"pipeline", "data_manifest", "dask", "distributed", "utm", "PIL", "simplejpeg", "xxhash", *TABLES},
    "training": {
        "training",
        "data_manifest",
        "torch",
        "torchvision",
        "timm",
        "safetensors",
        "PIL",
        "simplejpeg",
        "xxhash",
        *TABLES,
    },
    "evaluation": {
        *("evaluation", "training", "data_manifest", "torch", "onnxruntime", "faiss", "scipy", "utm", "PIL"),
        *DRAWING,
        *TABLES,
    },
    "export": {
        *("export", "evaluation", "training", "data_manifest", "torch", "onnx", "onnxruntime", "huggingface_hub"),
        *("numpy", "polars"),
    },
    "methods": {"methods", "evaluation", "training", "data_manifest", "torch"},
    "serve": {
        *("serve", "evaluation", "data_manifest"),
        *("fastapi", "starlette", "uvicorn", "torch", "polars", "PIL"),
    },
}
MAX_ENTRIES = 12
NAMES_OF_EVERY_FOLDER = {"__init__.py", "__main__.py", "settings.py"}


@functools.cache
def imports_of(file: Path, at_top_only: bool = False) -> set[str]:
    """Return the dotted names that a file imports: `a.b` for `from a import b`, whether or not b is a module.

    Args:
        file: A Python file.
        at_top_only: Leave out imports within functions and for type checkers.
    """
    tree = ast.parse(file.read_text())
    nodes = iter(tree.body) if at_top_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def messages_of(file: Path) -> list[str]:
    """Return the texts of several words in a file, without its docstrings."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [text for text in texts if isinstance(text, str) and " " in text]


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def packages_of(names: set[str]) -> set[str]:
    """Return the top-level packages of dotted names, without the standard library."""
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def module_file(name: str) -> Path | None:
    """Return the file of the module in this repository that a name such as `training.settings.BACKBONES` is in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_imports_only_what_it_may(package: str) -> None:
    assert files_of(package)
    for file in files_of(package):
        starts_validation = {"evaluation"} if file == ROOT / "training" / "__main__.py" else set()
        assert packages_of(imports_of(file)) <= ALLOWED[package] | starts_validation, file


def test_only_luigi_tasks_and_the_command_line_import_luigi() -> None:
    assert any("luigi" in packages_of(imports_of(file)) for file in files_of("luigi_tasks"))
    for folder in (*PACKAGES, "benchmarks"):
        for file in files_of(folder):
            assert "luigi" not in packages_of(imports_of(file)), file


def test_only_workflows_and_the_command_line_import_luigi_tasks() -> None:
    assert {name.split(".")[0] for name in imports_of(ROOT / "workflows.py")} == {"luigi_tasks"}
    for package in PACKAGES:
        for file in files_of(package):
            assert not packages_of(imports_of(file)) & {"workflows", "luigi_tasks"}, file


def test_messages_name_no_luigi_task() -> None:
    """Users of `cosplace` do not know them: say what to do, or name the command."""
    tree = ast.parse((ROOT / "workflows.py").read_text())
    tasks = {
        str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant) and str(node.value).isidentifier()
    }
    assert "EvaluateCosPlace" in tasks
    for package in (*PACKAGES, "luigi_tasks", "cosplace"):
        for file in files_of(package):
            found = [text for text in messages_of(file) if any(task in text for task in tasks)]
            assert not found, (file, found)


def test_later_packages_import_only_the_network_of_training() -> None:
    for file in (*files_of("evaluation"), *files_of("export"), *files_of("methods"), *files_of("serve")):
        for name in imports_of(file):
            assert not is_within(name, "training") or is_within(name, "training.network"), (file, name)


def test_network_imports_nothing_else_of_training() -> None:
    for file in files_of("training/network"):
        for name in imports_of(file):
            assert not is_within(name, "training") or is_within(name, "training.network"), (file, name)


def test_torch_hub_needs_only_torch_and_torchvision() -> None:
    pending, seen = [ROOT / "hubconf.py"], set()
    needed: set[str] = set()
    while pending:
        file = pending.pop()
        if file in seen:
            continue
        seen.add(file)
        names = imports_of(file, at_top_only=True)
        needed |= packages_of(names)
        packages = {name.split(".")[0] for name in names} & set(PACKAGES)
        pending += filter(None, map(module_file, names | packages))
    assert needed - set(PACKAGES) == {"torch", "torchvision"}
    assert {"data_manifest", "training"} >= needed & set(PACKAGES)


def test_only_the_report_draws() -> None:
    for package in PACKAGES:
        for file in files_of(package):
            if "report" not in file.parts:
                assert not packages_of(imports_of(file)) & DRAWING, file


def test_no_circle_of_imports_between_folders() -> None:
    """Checks the folders directly in a package; a module directly in a package counts as one of its own."""
    imported: dict[str, set[str]] = defaultdict(set)
    for package in (*PACKAGES, "luigi_tasks", "cosplace"):
        for file in files_of(package):
            folder = ".".join(file.relative_to(ROOT).with_suffix("").parts[:2])
            modules = filter(None, map(module_file, imports_of(file)))
            names = {".".join(module.relative_to(ROOT).with_suffix("").parts[:2]) for module in modules}
            imported[folder] |= names - {folder}
    TopologicalSorter(imported).prepare()  # raises CycleError


def modules_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh process has loaded after running some code."""
    code += "\nimport sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


def test_build_groups_loads_neither_torch_nor_dask(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg").touch()
    task = f"workflows.BuildGroups(train_folder={str(tmp_path / 'train')!r}, artifacts_folder={str(tmp_path)!r}"
    loaded = modules_after(
        f"import luigi, workflows; assert luigi.build([{task}, min_images_per_class=1)], local_scheduler=True)"
    )
    assert {"luigi", "polars", "utm"} <= loaded
    assert not loaded & {"torch", "torchvision", "faiss", "dask", "distributed", "scipy", "PIL", *DRAWING}


def test_data_manifest_loads_none_of_the_stages() -> None:
    loaded = modules_after("import data_manifest.__main__")
    assert not loaded & {"pipeline", "training", "evaluation", "luigi", "torch", "faiss", "dask", "utm"}


def test_pipeline_loads_no_later_stage() -> None:
    loaded = modules_after("import pipeline.manifest.build_manifest, pipeline.groups.build_groups, pipeline.__main__")
    assert not loaded & {"training", "evaluation", "luigi", "torch", "faiss", "workflows"}


def test_report_loads_neither_torch_nor_faiss() -> None:
    loaded = modules_after("import evaluation.report.write_report")
    assert {"matplotlib", "jinja2", "scipy", "PIL"} <= loaded
    assert not loaded & {"training", "pipeline", "luigi", "torch", "faiss", "workflows"}


def folders_of(package: str) -> list[Path]:
    return sorted({file.parent for file in files_of(package)})


@pytest.mark.parametrize("package", [*PACKAGES, "luigi_tasks"])
def test_no_folder_has_more_than_12_entries(package: str) -> None:
    folders = folders_of(package)
    entries = {
        str(folder.relative_to(ROOT)): sorted(
            path.name
            for path in folder.iterdir()
            if path in folders or (path.suffix == ".py" and path.name != "__init__.py")
        )
        for folder in folders
    }
    assert {folder: names for folder, names in entries.items() if len(names) > MAX_ENTRIES} == {}


@pytest.mark.parametrize("package", [*PACKAGES, "luigi_tasks", "cosplace"])
def test_no_two_files_of_a_package_share_a_name(package: str) -> None:
    counts = Counter(file.name for file in files_of(package) if file.name not in NAMES_OF_EVERY_FOLDER)
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_is_a_package(package: str) -> None:
    for folder in folders_of(package):
        assert (folder / "__init__.py").is_file(), folder
