from pathlib import Path

from data_manifest.store.recipe import read_recipe
from data_manifest.tables import read_table
from evaluation.compare_evaluations import compare_evaluations
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.evaluate_cosplace import evaluate_cosplace
from evaluation.test_sets.named_sets import NAMED_SETS
from tests.evaluation.conftest import City, on_cpu


def test_several_evaluations_are_one_table(city: City, model: TrainedModel, artifacts: Path) -> None:
    database, day, night = city("database"), city("queries_day", 3.0), city("queries_night", 3.0, ("red", "blue"))
    folders = [
        evaluate_cosplace(model, database, day, artifacts, on_cpu(16)),
        evaluate_cosplace(model, database, night, artifacts, on_cpu(16), named=NAMED_SETS["svox-night"]),
    ]
    folder = compare_evaluations(folders, artifacts)
    recalls = read_table(folder, "recalls")
    assert recalls.filter(k=1).select("test_set", "queries", "database_images").rows() == [
        ("city-queries_day", 4, 4),
        ("svox-night", 2, 4),
    ]
    areas = read_table(folder, "auprc")
    assert areas.filter(certainty="ratio").select("test_set", "queries").rows() == [
        ("city-queries_day", 4),
        ("svox-night", 2),
    ]
    lines = read_recipe(folder)["summary"]["made"].splitlines()
    assert lines[0] == "recalls"
    assert lines[1].split("  ")[0] == ""
    assert "R@1 (95 % interval)" in lines[1]
    of_day = read_table(folders[0], "auprc").filter(certainty="ratio")["auprc"][0]
    cells = [cell.strip() for cell in lines[2].split("  ") if cell]
    assert cells[5:7] == [f"{of_day:.1f}", "25 metres"]
    assert lines[3].startswith("svox-night")
    warning = "2 queries, published with 823; 4 database images, published with about 17,000"
    assert lines[4] == f"WARNING svox-night: {warning}"
    assert compare_evaluations(folders, artifacts) == folder
    assert compare_evaluations(folders[:1], artifacts) == folders[0]


def test_sets_of_one_name_have_a_line_each(city: City, model: TrainedModel, artifacts: Path) -> None:
    database = city("database")
    evaluations = [
        evaluate_cosplace(model, database, city(part, shift_m), artifacts, on_cpu(16), named=NAMED_SETS["svox-rain"])
        for part, shift_m in (("rain", 3.0), ("other", 300.0))
    ]
    lines = read_recipe(compare_evaluations(evaluations, artifacts))["summary"]["made"].splitlines()
    recalls = [line.split()[1] for line in lines if line.startswith("svox-rain")]
    assert recalls == ["100.0", "0.0"]
