import logging
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.tables import write_table
from evaluation.descriptors.image_list import ImageList
from evaluation.metrics.evaluation import Evaluation
from evaluation.validation_set import ValidationSet
from tests.evaluation.conftest import WriteManifest, on_cpu
from training.network.preprocessing import Preprocessing

NORTH = 4184971.70
Lists = tuple[ImageList, ImageList]
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "teal": (0, 150, 120)}


class MeanColour(nn.Module):
    """Embeds an image as its mean colour, so that correct matches are obvious."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(images.mean(dim=(2, 3)), dim=1)


def place(colour: str, east: float, north: float, zone: int | None = 10) -> dict[str, object]:
    return {"path": f"{colour}.jpg", "utm_east": east, "utm_north": north, "utm_zone": zone, "utm_band": "S"}


@pytest.fixture
def lists(tmp_path: Path, write_manifest: WriteManifest) -> Lists:
    """Four database images, and five queries: two with a correct match, one incorrect, two without a positive."""
    for folder, size in (("database", (48, 32)), ("queries", (32, 40))):
        (tmp_path / folder).mkdir()
        for colour, pixel in COLOURS.items():
            Image.new("RGB", size, pixel).save(tmp_path / folder / f"{colour}.jpg")
    Image.new("RGB", (20, 20), (190, 0, 0)).save(tmp_path / "queries" / "rose.jpg")
    database = [place(colour, 1000.0 * number, NORTH) for number, colour in enumerate(COLOURS)]
    queries = [
        place("blue", 2000.0, NORTH + 25),
        place("rose", 9000.0, NORTH),  # no positive
        place("red", 0.0, NORTH),
        place("green", 2000.0, NORTH - 3),  # looks like green, is near blue
        place("teal", 3000.0, NORTH, zone=11),  # no positive: in another zone
    ]
    return write_manifest("database", database), write_manifest("queries", queries)


def evaluate(lists: Lists, network: nn.Module | None = None, threshold: float = 25.0, **others: Any) -> Evaluation:
    extraction = on_cpu(**{"batch_size": 16, **others})
    return ValidationSet(*lists, extraction, threshold).evaluate(network or MeanColour())


def test_a_small_city_with_known_answers(lists: Lists) -> None:
    evaluation = evaluate(lists)
    assert evaluation.recalls == {1: 40.0, 5: 60.0, 10: 60.0, 20: 60.0}
    assert str(evaluation) == (
        "R@1 40.0, R@5 60.0, R@10 60.0, R@20 60.0, 5 queries, 2 without a positive, 4 database images"
    )
    assert evaluation.predictions.height == 5 * 4
    best = evaluation.predictions.filter(rank=1).select("query_path", "database_path", "distance_m", "correct").rows()
    assert best == [
        ("blue.jpg", "blue.jpg", 25.0, True),
        ("rose.jpg", "red.jpg", 9000.0, False),
        ("red.jpg", "red.jpg", 0.0, True),
        ("green.jpg", "green.jpg", pytest.approx((1000**2 + 3**2) ** 0.5), False),
        ("teal.jpg", "teal.jpg", float("inf"), False),
    ]
    scores = evaluation.predictions["score"].to_list()
    assert scores[0] == pytest.approx(1, abs=1e-3)
    for query in range(5):
        assert scores[4 * query : 4 * query + 4] == sorted(scores[4 * query : 4 * query + 4], reverse=True)
    assert ValidationSet(*lists, on_cpu(16))(MeanColour()) == evaluation.recalls


def test_tables_have_their_schemas(tmp_path: Path, lists: Lists) -> None:
    evaluation = evaluate(lists)
    write_table(evaluation.predictions, tmp_path / "predictions" / "part.parquet", schemas.PREDICTIONS)
    write_table(evaluation.breakdown, tmp_path / "breakdown" / "part.parquet", schemas.BREAKDOWN)


def test_heading_and_year_differences_where_known(lists: Lists, write_manifest: WriteManifest) -> None:
    database = [{**place("red", 0.0, NORTH), "heading": 350.0, "year": 2012}]
    queries = [
        {**place("red", 0.0, NORTH), "heading": 20.0, "year": 2018},
        {**place("blue", 0.0, NORTH), "year": 2011},
        {**place("green", 0.0, NORTH + 30), "heading": 170.0},
    ]
    evaluation = evaluate((write_manifest("database", database), write_manifest("queries", queries)))
    apart = evaluation.predictions.select("query_path", "heading_difference", "years_apart").rows()
    assert apart == [("red.jpg", 30.0, -6), ("blue.jpg", None, 1), ("green.jpg", 180.0, None)]
    shown = evaluation.breakdown.filter(k=1).select("aspect", "between", "label", "queries", "recall").rows()
    positive, match = "query and nearest positive", "query and best match"
    assert shown == [
        ("distance", positive, "0 to 5 m", 2, 100.0),
        ("distance", positive, "no positive", 1, 0.0),
        ("heading_difference", positive, "15 to 30 degrees", 1, 100.0),
        ("heading_difference", positive, "unknown", 1, 100.0),
        ("heading_difference", positive, "no positive", 1, 0.0),
        ("years_apart", positive, "1 year", 1, 100.0),
        ("years_apart", positive, "6 to 10 years", 1, 100.0),
        ("years_apart", positive, "no positive", 1, 0.0),
        ("distance", match, "0 to 5 m", 2, 100.0),
        ("distance", match, "25 to 50 m", 1, 0.0),
        ("heading_difference", match, "15 to 30 degrees", 1, 100.0),
        ("heading_difference", match, "over 90 degrees", 1, 0.0),
        ("heading_difference", match, "unknown", 1, 100.0),
        ("years_apart", match, "1 year", 1, 100.0),
        ("years_apart", match, "6 to 10 years", 1, 100.0),
        ("years_apart", match, "unknown", 1, 0.0),
    ]


def test_a_larger_threshold_gives_more_positives(lists: Lists) -> None:
    evaluation = evaluate(lists, threshold=1001)
    assert evaluation.recalls[1] == 60.0  # green's query is 1000.004 metres from its image
    assert evaluation.num_queries_without_positive == 2


def test_images_are_resized(lists: Lists) -> None:
    shapes = set()

    class Recorder(MeanColour):
        def forward(self, images: Tensor) -> Tensor:
            shapes.add(tuple(images.shape[2:]))
            return super().forward(images)

    evaluate(lists, Recorder(), resized_to=16)
    assert shapes == {(16, 24), (20, 16), (16, 16)}


def test_batches_and_workers_do_not_change_the_result(lists: Lists) -> None:
    one = evaluate(lists, batch_size=1)
    many = evaluate(lists, batch_size=3, num_workers=2)
    assert one.predictions.drop("score").equals(many.predictions.drop("score"))


def test_a_warning_if_no_query_has_a_positive(
    lists: Lists, write_manifest: WriteManifest, caplog: pytest.LogCaptureFixture
) -> None:
    queries = write_manifest("queries", [place("blue", 5e5, 0.0)])
    with caplog.at_level(logging.WARNING):
        evaluation = evaluate((lists[0], queries))
    assert evaluation.recalls[20] == 0.0
    assert "None of the 1 queries has a database image within 25 metres" in caplog.text


def test_an_empty_manifest_is_an_error(lists: Lists, write_manifest: WriteManifest) -> None:
    with pytest.raises(UserError, match=r"queries .* no usable image"):
        evaluate((lists[0], write_manifest("queries", [])))


def test_a_missing_manifest_is_an_error(lists: Lists, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        evaluate((ImageList(tmp_path / "nowhere", tmp_path), lists[1]))


def test_a_missing_image_is_named(lists: Lists) -> None:
    (Path(lists[1].images_folder) / "green.jpg").unlink()
    with pytest.raises(UserError, match=r"green\.jpg cannot be opened"):
        evaluate(lists)


def test_images_are_preprocessed_as_the_network_states(lists: Lists) -> None:
    class Grey(nn.Module):
        preprocessing = Preprocessing((0.5,), (0.25,))
        seen: ClassVar[list[Tensor]] = []

        def forward(self, images: Tensor) -> Tensor:
            self.seen.append(images)
            return nn.functional.normalize(images.mean(dim=(2, 3)) + torch.tensor([[0.0, 10.0]]), dim=1)

    evaluate(lists, Grey(), resized_to=8, batch_size=1)
    assert [tuple(images.shape) for images in Grey.seen[:4]] == [(1, 1, 8, 12)] * 4, "48 x 32 pixels, the shorter to 8"
    red = Grey.seen[0].mean().item()
    assert red == pytest.approx((60 / 255 - 0.5) / 0.25, abs=0.02), "60: 0.299 of 200"
