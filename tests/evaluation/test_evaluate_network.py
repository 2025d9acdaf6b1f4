import logging
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data_manifest import schemas
from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.tables import write_table
from evaluation.descriptors.image_list import ImageList
from evaluation.evaluate_network import Evaluation, evaluate
from evaluation.settings import EvaluationSettings
from training.network.preprocessing import Preprocessing

CPU = torch.device("cpu")
NORTH = 4184971.70
WriteManifest = Callable[[str, list[dict[str, object]]], ImageList]
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "teal": (0, 150, 120)}


class MeanColour(nn.Module):
    """Describes an image by its mean colour, so that the right match is plain to see."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(images.mean(dim=(2, 3)), dim=1)


def place(colour: str, east: float, north: float, zone: int | None = 10) -> dict[str, object]:
    return {"path": f"{colour}.jpg", "utm_east": east, "utm_north": north, "utm_zone": zone, "utm_band": "S"}


@pytest.fixture
def lists(tmp_path: Path, write_manifest: WriteManifest) -> tuple[ImageList, ImageList]:
    """Four colours, one place each. Of the five queries, green stands elsewhere and grey nowhere near anything.

    Blue's own place is 25 metres from its query; red's lies at the same coordinates; teal's query is in another zone.
    """
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
        place("green", 2000.0, NORTH - 3),  # looks like green, stands beside blue
        place("teal", 3000.0, NORTH, zone=11),  # no positive: another zone's 3000
    ]
    return write_manifest("database", database), write_manifest("queries", queries)


def run(lists: tuple[ImageList, ImageList], **kwargs: object) -> Evaluation:
    values = {"network": MeanColour(), "settings": EvaluationSettings(), "image_size": 16, "num_workers": 0} | kwargs
    return evaluate(database=lists[0], queries=lists[1], device=CPU, **values)  # type: ignore[arg-type]


def test_a_small_city_whose_answers_are_known(lists: tuple[ImageList, ImageList]) -> None:
    percentages: list[int] = []
    evaluation = run(lists, on_percentage=percentages.append)
    assert evaluation.recalls == {1: 40.0, 5: 60.0, 10: 60.0, 20: 60.0}
    assert str(evaluation) == (
        "R@1: 40.0, R@5: 60.0, R@10: 60.0, R@20: 60.0 (5 queries, 2 without a positive, 4 database images)"
    )
    assert percentages[-1] == 100
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


def test_tables_are_those_of_the_schemas(tmp_path: Path, lists: tuple[ImageList, ImageList]) -> None:
    evaluation = run(lists)
    write_table(evaluation.predictions, tmp_path / "predictions" / "part.parquet", schemas.PREDICTIONS)
    write_table(evaluation.breakdown, tmp_path / "breakdown" / "part.parquet", schemas.BREAKDOWN)


def test_headings_and_years_are_held_against_each_other_where_known(
    lists: tuple[ImageList, ImageList], write_manifest: WriteManifest
) -> None:
    database = [{**place("red", 0.0, NORTH), "heading": 350.0, "year": 2012}]
    queries = [
        {**place("red", 0.0, NORTH), "heading": 20.0, "year": 2018},
        {**place("blue", 0.0, NORTH), "year": 2011},
        {**place("green", 0.0, NORTH + 30), "heading": 170.0},
    ]
    evaluation = run((write_manifest("database", database), write_manifest("queries", queries)))
    apart = evaluation.predictions.select("query_path", "heading_difference", "years_apart").rows()
    assert apart == [("red.jpg", 30.0, -6), ("blue.jpg", None, 1), ("green.jpg", 180.0, None)]
    shown = evaluation.breakdown.filter(k=1).select("aspect", "between", "label", "queries", "recall").rows()
    by_what_there_is, by_what_was_found = "query and nearest positive", "query and best match"
    assert shown == [
        ("distance", by_what_there_is, "0 to 5 m", 2, 100.0),
        ("distance", by_what_there_is, "no positive", 1, 0.0),
        ("heading_difference", by_what_there_is, "15 to 30 degrees", 1, 100.0),
        ("heading_difference", by_what_there_is, "unknown", 1, 100.0),
        ("heading_difference", by_what_there_is, "no positive", 1, 0.0),
        ("years_apart", by_what_there_is, "1 year", 1, 100.0),
        ("years_apart", by_what_there_is, "6 to 10 years", 1, 100.0),
        ("years_apart", by_what_there_is, "no positive", 1, 0.0),
        ("distance", by_what_was_found, "0 to 5 m", 2, 100.0),
        ("distance", by_what_was_found, "25 to 50 m", 1, 0.0),
        ("heading_difference", by_what_was_found, "15 to 30 degrees", 1, 100.0),
        ("heading_difference", by_what_was_found, "over 90 degrees", 1, 0.0),
        ("heading_difference", by_what_was_found, "unknown", 1, 100.0),
        ("years_apart", by_what_was_found, "1 year", 1, 100.0),
        ("years_apart", by_what_was_found, "6 to 10 years", 1, 100.0),
        ("years_apart", by_what_was_found, "unknown", 1, 0.0),
    ]


def test_a_wider_threshold_makes_more_positives(lists: tuple[ImageList, ImageList]) -> None:
    evaluation = run(lists, settings=EvaluationSettings(positive_dist_threshold=1001))
    assert evaluation.recalls[1] == 60.0  # green's own place is 1000.004 metres away
    assert evaluation.num_queries_without_positive == 2


def test_images_are_resized_when_asked(lists: tuple[ImageList, ImageList]) -> None:
    shapes = set()

    class Recorder(MeanColour):
        def forward(self, images: Tensor) -> Tensor:
            shapes.add(tuple(images.shape[2:]))
            return super().forward(images)

    run(lists, network=Recorder(), settings=EvaluationSettings(resize_test_imgs=True))
    assert shapes == {(16, 24), (20, 16), (16, 16)}


def test_batches_and_workers_do_not_change_the_result(lists: tuple[ImageList, ImageList]) -> None:
    one = run(lists, settings=EvaluationSettings(infer_batch_size=1))
    many = run(lists, settings=EvaluationSettings(infer_batch_size=3), num_workers=2)
    assert one.predictions.drop("score").equals(many.predictions.drop("score"))


def test_no_positive_at_all_is_warned_of(
    lists: tuple[ImageList, ImageList], write_manifest: WriteManifest, caplog: pytest.LogCaptureFixture
) -> None:
    queries = write_manifest("queries", [place("blue", 5e5, 0.0)])
    with caplog.at_level(logging.WARNING):
        evaluation = run((lists[0], queries))
    assert evaluation.recalls[20] == 0.0
    assert "none of the 1 queries has a database image within 25 metres" in caplog.text


def test_an_empty_manifest_is_refused(lists: tuple[ImageList, ImageList], write_manifest: WriteManifest) -> None:
    with pytest.raises(UserError, match=r"queries .* no usable image"):
        run((lists[0], write_manifest("queries", [])))


def test_a_missing_manifest_is_refused(lists: tuple[ImageList, ImageList], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        run((ImageList(tmp_path / "nowhere", tmp_path), lists[1]))


def test_an_image_that_is_gone_is_named(lists: tuple[ImageList, ImageList]) -> None:
    (lists[1].images_folder / "green.jpg").unlink()
    with pytest.raises(UserError, match=r"green\.jpg cannot be opened"):
        run(lists)


def test_images_become_what_the_network_states_that_it_takes(lists: tuple[ImageList, ImageList]) -> None:
    class Grey(nn.Module):
        preprocessing = Preprocessing((0.5,), (0.25,))
        seen: ClassVar[list[Tensor]] = []

        def forward(self, images: Tensor) -> Tensor:
            self.seen.append(images)
            return nn.functional.normalize(images.mean(dim=(2, 3)) + torch.tensor([[0.0, 10.0]]), dim=1)

    resized = EvaluationSettings(resize_test_imgs=True, infer_batch_size=1)
    run(lists, network=Grey(), settings=resized, image_size=ImageSize(8, 20))
    assert [tuple(images.shape) for images in Grey.seen[:4]] == [(1, 1, 8, 12)] * 4, "48 x 32 pixels, the shorter to 8"
    red = Grey.seen[0].mean().item()
    assert red == pytest.approx((60 / 255 - 0.5) / 0.25, abs=0.02), "60: 0.299 of 200"
