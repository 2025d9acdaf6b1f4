"""Several databases, and their replacement while requests run."""

import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from data_manifest.errors import UserError
from evaluation.localization.localize import Localizer
from serve.databases.served import Served
from tests.evaluation.conftest import COLOURS
from tests.serve.client import Answer, Client, photo_of, wait_until
from tests.serve.conftest import RunningClient, holding, running


def best_of(answer: Answer) -> dict[str, object]:
    assert answer.status == 200
    return dict(answer.json["photos"][0]["matches"][0])


def colour_at(client: Client, match: dict[str, object]) -> tuple[int, ...]:
    answer = client.get(f"/{match['picture']}")
    assert answer.status == 200
    with Image.open(io.BytesIO(answer.content)) as image:
        pixel = image.convert("RGB").getpixel((40, 30))
    assert isinstance(pixel, tuple)
    return pixel


def served(localizer: Localizer) -> list[Served]:
    return [Served.of("database", "Tiny-8", localizer)]


def test_requests_name_a_database(localizer: Localizer, other: Localizer) -> None:
    with running({"here": localizer, "there": other}) as client:
        facts = [client.get(f"/api/database{query}").json for query in ("", "?database=here", "?database=there")]
        assert [each["name"] for each in facts] == ["here", "here", "there"]
        assert all(each["databases"] == ["here", "there"] for each in facts)
        for query, east, number in (("", 500_000, 0), ("?database=here", 500_000, 0), ("?database=there", 553_000, 3)):
            answer = client.send(photo_of("red"), query=query)
            best = best_of(answer)
            assert (best["utm_east"], best["image"]) == (east, number)
            assert answer.json["database"] == ("there" if "there" in query else "here")
            assert colour_at(client, best) == pytest.approx(COLOURS["red"], abs=12)
        assert client.get("/api/map?database=there").status == 200


def test_unknown_databases_are_404_with_the_known_names(localizer: Localizer, other: Localizer) -> None:
    with running({"here": localizer, "there": other}) as client:
        answers = [client.get(f"/api/{what}?database=nowhere") for what in ("database", "map")]
        for answer in [*answers, client.send(photo_of("red"), query="?database=nowhere")]:
            assert answer.status == 404
            assert answer.json == {"error": "No database nowhere. Available: here, there"}


def test_photos_for_two_databases_share_a_batch(localizer: Localizer, other: Localizer) -> None:
    with running({"here": localizer, "there": other}) as client, ThreadPoolExecutor(8) as threads:
        wanted = [(colour, name) for colour in COLOURS for name in ("here", "there")]
        answers = threads.map(lambda each: client.send(photo_of(each[0]), query=f"?database={each[1]}"), wanted)
        for (colour, name), answer in zip(wanted, answers, strict=True):
            number = list(COLOURS).index(colour)
            assert best_of(answer)["image"] == (number if name == "here" else 3 - number)


def test_databases_of_one_model_share_its_network(localizer: Localizer, other: Localizer) -> None:
    assert other._network is localizer._network


def test_a_reload_replaces_the_database_and_old_answers_keep_their_pictures(
    localizer: Localizer, other: Localizer
) -> None:
    with running(localizer, load=lambda _: served(other)) as client:
        old = best_of(client.send(photo_of("red")))
        reload(client)
        new = best_of(client.send(photo_of("red")))
        assert (old["image"], new["image"]) == (0, 3)
        for match in (old, new):
            assert colour_at(client, match) == pytest.approx(COLOURS["red"], abs=12)
        assert client.get("/api/database").json["digest"] in str(new["picture"])
        client.service.databases.replace(served(other))
        gone = client.get(f"/{old['picture']}")
        assert (gone.status, "no longer served" in gone.json["error"]) == (404, True)


def reload(client: RunningClient) -> None:
    """Reload, and wait for the end."""
    before = client.service.databases.reloads
    client.reloader.request()
    wait_until(lambda: client.service.databases.reloads > before)


def test_requests_in_flight_finish_with_the_old_database(
    localizer: Localizer, other: Localizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        holding(localizer, monkeypatch) as (started, released),
        running(localizer, load=lambda _: served(other)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        running_request = threads.submit(client.send, photo_of("red"))
        assert started.wait(20)
        reload(client)
        released.set()
        assert best_of(running_request.result())["utm_east"] == 500_000
        assert best_of(client.send(photo_of("red")))["utm_east"] == 553_000


def test_the_old_database_serves_while_the_new_one_loads(localizer: Localizer, other: Localizer) -> None:
    begun, released = threading.Event(), threading.Event()

    def load(_: Sequence[Served]) -> list[Served]:
        begun.set()
        assert released.wait(30)
        return served(other)

    with running(localizer, load=load) as client:
        client.reloader.request()
        assert begun.wait(20)
        assert best_of(client.send(photo_of("red")))["utm_east"] == 500_000
        released.set()
        wait_until(lambda: client.service.databases.reloads == 1)
        assert best_of(client.send(photo_of("red")))["utm_east"] == 553_000


def test_a_server_stops_while_it_loads(localizer: Localizer) -> None:
    begun, released = threading.Event(), threading.Event()

    def load(_: Sequence[Served]) -> list[Served]:
        begun.set()
        assert released.wait(60)
        return []

    with running(localizer, load=load) as client:
        client.reloader.request()
        assert begun.wait(20)
    released.set()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no such\nmodel"), "not reloaded, the old databases stay: no such model"),
        (RuntimeError("of torch\nand more"), "not reloaded, the old databases stay: RuntimeError: of torch"),
    ],
)
def test_a_failed_reload_keeps_the_old_database(
    localizer: Localizer, error: Exception, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def load(_: Sequence[Served]) -> list[Served]:
        raise error

    with running(localizer, load=load) as client:
        client.reloader.request()
        wait_until(lambda: line in [record.message for record in caplog.records])
        assert best_of(client.send(photo_of("red")))["utm_east"] == 500_000
        assert client.service.databases.reloads == 0


def test_a_moved_database_is_loaded_without_a_signal(localizer: Localizer, other: Localizer) -> None:
    moved = threading.Event()

    def load(_: Sequence[Served]) -> list[Served]:
        moved.clear()
        return served(other)

    with running(localizer, load=load, has_moved=moved.is_set) as client:
        assert best_of(client.send(photo_of("red")))["utm_east"] == 500_000
        moved.set()
        wait_until(lambda: client.service.databases.reloads == 1)
        assert best_of(client.send(photo_of("red")))["utm_east"] == 553_000
        assert "cosplace_reloads_total 1\n" in client.get("/metrics").content.decode()


def test_a_failed_check_does_not_end_the_watch(
    localizer: Localizer, other: Localizer, caplog: pytest.LogCaptureFixture
) -> None:
    checks: Iterator[bool | Exception] = iter([RuntimeError("of the disk"), RuntimeError("of the disk"), True])

    def has_moved() -> bool:
        found = next(checks, False)
        if isinstance(found, Exception):
            raise found
        return found

    with running(localizer, load=lambda _: served(other), has_moved=has_moved) as client:
        wait_until(lambda: client.service.databases.reloads == 1)
    assert caplog.text.count("cannot check for changes of the databases: RuntimeError: of the disk") == 1
