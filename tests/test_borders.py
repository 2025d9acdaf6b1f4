"""Who may import whom: the borders of the design, held by reading the imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_manifest", "pipeline", "training", "evaluation")
DRAWING = {"matplotlib", "mpl_toolkits", "jinja2", "markupsafe"}
NUMERICS = {"numpy", "polars", "pyarrow"}
ALLOWED = {
    "data_manifest": {"data_manifest", "polars", "pyarrow", "tqdm", "PIL", "pillow_heif"},
    "pipeline": {"pipeline", "data_manifest", "dask", "distributed", "utm", "PIL", "simplejpeg", "xxhash", *NUMERICS},
    "training": {"training", "data_manifest", "torch", "torchvision", "PIL", "simplejpeg", *NUMERICS},
    "evaluation": {
        "evaluation",
        "training",
        "data_manifest",
        "torch",
        "faiss",
        "scipy",
        "utm",
        "PIL",
        *DRAWING,
        *NUMERICS,
    },
}


def imports_of(file: Path, without_late: bool = False) -> set[str]:
    """The modules that a file imports, with dots; `a.b` for `from a import b`, whether b is a module or not.

    `without_late` leaves out what is imported within functions, and for type checkers alone.
    """
    tree = ast.parse(file.read_text())
    nodes = ast.walk(tree) if not without_late else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def foreign(modules: set[str]) -> set[str]:
    """The packages that modules are of, without Python's own."""
    return {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)


def leads_to(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def module_file(module: str) -> Path | None:
    """The file of a module of ours that a name such as `training.settings.BACKBONES` leads to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_of_the_design(package: str) -> None:
    assert files_of(package)
    for file in files_of(package):
        puts_together = {"evaluation"} if file == ROOT / "training" / "__main__.py" else set()
        assert foreign(imports_of(file)) <= ALLOWED[package] | puts_together, file


@pytest.mark.parametrize("package", ["data_manifest", "pipeline"])
def test_no_torch_below_training(package: str) -> None:
    for file in files_of(package):
        assert not foreign(imports_of(file)) & {"torch", "torchvision", "faiss"}, file


def test_luigi_is_in_its_tasks_alone() -> None:
    assert any("luigi" in foreign(imports_of(file)) for file in files_of("luigi_tasks"))
    for folder in (*PACKAGES, "examples", "benchmarks"):
        for file in files_of(folder):
            assert "luigi" not in foreign(imports_of(file)), file


def test_nobody_imports_the_tasks_but_workflows() -> None:
    assert {module.split(".")[0] for module in imports_of(ROOT / "workflows.py")} == {"luigi_tasks"}
    for package in PACKAGES:
        for file in files_of(package):
            assert not foreign(imports_of(file)) & {"workflows", "luigi_tasks"}, file


def test_evaluation_knows_of_training_the_network_alone() -> None:
    for file in files_of("evaluation"):
        for module in imports_of(file):
            assert not leads_to(module, "training") or leads_to(module, "training.network"), (file, module)


def test_the_network_imports_nothing_else_of_training() -> None:
    for file in files_of("training/network"):
        for module in imports_of(file):
            assert not leads_to(module, "training") or leads_to(module, "training.network"), (file, module)


def test_the_network_needs_torch_and_torchvision_alone() -> None:
    """What torch.hub loads, followed through our modules: no tables come with it."""
    pending, seen = [ROOT / "hubconf.py"], set()
    needed: set[str] = set()
    while pending:
        file = pending.pop()
        if file in seen:
            continue
        seen.add(file)
        modules = imports_of(file, without_late=True)
        needed |= foreign(modules)
        packages = {module.split(".")[0] for module in modules} & set(PACKAGES)
        found = [module_file(module) for module in modules | packages]
        pending += [each for each in found if each is not None]
    assert needed - set(PACKAGES) == {"torch", "torchvision"}
    assert {"data_manifest", "training"} >= needed & set(PACKAGES)


def modules_after(code: str) -> set[str]:
    """The packages that are loaded in a fresh process after some code."""
    code += "\nimport sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


def test_importing_workflows_is_light() -> None:
    loaded = modules_after("import workflows")
    assert {"luigi", "polars", "pipeline"} <= loaded
    assert not loaded & {"torch", "torchvision", "faiss", "dask", "distributed", "scipy", "PIL", *DRAWING}


def test_groups_are_built_here_without_torch_and_dask(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "@0545981.19@4184971.70@10@S@@@pano@@174@@@@201409@@.jpg").touch()
    task = f"workflows.BuildGroups(train_folder={str(tmp_path / 'train')!r}, artifacts_folder={str(tmp_path)!r}"
    loaded = modules_after(
        f"import luigi, workflows; assert luigi.build([{task}, min_images_per_class=1)], local_scheduler=True)"
    )
    assert {"luigi", "polars", "utm"} <= loaded
    assert not loaded & {"torch", "torchvision", "faiss", "dask", "distributed", "scipy", "PIL", *DRAWING}


def test_a_reader_of_the_tables_needs_none_of_the_stages() -> None:
    loaded = modules_after("import data_manifest.__main__")
    assert not loaded & {"pipeline", "training", "evaluation", "luigi", "torch", "faiss", "dask", "utm"}


def test_the_stages_can_be_imported_without_those_that_follow() -> None:
    loaded = modules_after("import pipeline.manifest.build_manifest, pipeline.groups.build_groups, pipeline.__main__")
    assert not loaded & {"training", "evaluation", "luigi", "torch", "faiss", "workflows"}


def test_a_report_needs_neither_torch_nor_faiss() -> None:
    loaded = modules_after("import evaluation.report.write_report")
    assert {"matplotlib", "jinja2", "scipy", "PIL"} <= loaded
    assert not loaded & {"training", "pipeline", "luigi", "torch", "faiss", "workflows"}


def test_drawing_is_in_the_report_alone() -> None:
    for package in PACKAGES:
        for file in files_of(package):
            if "report" not in file.parts:
                assert not foreign(imports_of(file)) & DRAWING, file


def test_every_package_has_files() -> None:
    assert all((ROOT / package / "__init__.py").is_file() for package in PACKAGES)
