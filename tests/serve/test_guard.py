"""The token, the host, and the headers of answers."""

import re
import socket

import pytest

from evaluation.localization.localize import Localizer
from serve.settings import Tiles
from tests.serve.client import TOKEN, Client, photo_of
from tests.serve.conftest import running

OTHER_HOST = r"https?:(?!//www\.w3\.org/2000/svg)|(src|href)=.//"


def test_requests_need_the_token(localizer: Localizer) -> None:
    with running(localizer, token=TOKEN) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer é"}):
            for answer in (client.send(photo_of("red"), **headers), client.get("/api/images/0/0", **headers)):
                assert answer.status == 401
                assert set(answer.json) == {"error"}
        assert client.get("/metrics").status == client.get("/openapi.json").status == 401
        assert client.get("/healthz").status == client.get("/").status == 200
        good = {"Authorization": f"Bearer {TOKEN}"}
        found = client.send(photo_of("red"), **good)
        assert found.status == 200
        assert client.get("/" + found.json["photos"][0]["matches"][0]["picture"], **good).status == 200
        assert client.send(photo_of("red"), **good, Host="photos.example").status == 200, "behind a proxy"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "[::1]")],
        *[(host, 403) for host in ("evil.example", "", "[2001:db8::1]", "[2001:db8::1]:80", "evil.example]")],
    ],
)
def test_without_a_token_only_this_machine_is_a_host(client: Client, host: str, status: int) -> None:
    assert client.get("/api/database", Host=host).status == status
    assert client.get("/", Host=host).status == status


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/database", "/api/images/0/0", "/nowhere", "/page/page.js"])
def test_every_answer_has_a_policy_without_inline_scripts(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_tiles_may_be_loaded_from_their_server_only(localizer: Localizer) -> None:
    with running(localizer, tiles=Tiles("https://tiles.example:8443/{z}/{x}/{y}.png", "© someone")) as client:
        headers = client.get("/").headers
        assert (
            "img-src 'self' blob: data: https://tiles.example:8443; connect-src" in headers["content-security-policy"]
        )
        assert headers["referrer-policy"] == "strict-origin", "tile servers require it"
        tiles = client.get("/api/database").json["tiles"]
        assert tiles == {"url": "https://tiles.example:8443/{z}/{x}/{y}.png", "attribution": "© someone"}


def test_without_tiles_the_page_loads_nothing_from_other_hosts(client: Client) -> None:
    headers = client.get("/").headers
    assert "img-src 'self' blob: data:;" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert client.get("/api/database").json["tiles"] is None


def test_the_page_has_no_inline_scripts_and_styles_and_no_other_hosts(client: Client) -> None:
    text = client.get("/").content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
    assert not re.search(OTHER_HOST, text)
    for path in set(re.findall(r'(?:src|href)="(page/[^"]+)"', text)):
        answer = client.get(f"/{path}")
        assert answer.status == 200
        if "/leaflet/" not in path:  # names its website; the tests in Chromium see that nothing is loaded from there
            assert not re.search(OTHER_HOST, answer.content.decode())


def test_wrong_paths_and_methods_are_json(client: Client) -> None:
    assert client.get("/nowhere").json == {"error": "Not Found"}
    wrong = client.get("/api/localize")
    assert (wrong.status, wrong.json) == (405, {"error": "Method Not Allowed"})


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/healthz", "/api/database", "/nowhere", "/api/localize"])
def test_head_is_answered_as_get_without_a_body(client: Client, path: str) -> None:
    with socket.create_connection(("127.0.0.1", client.port), 20) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
    expected = client.get(path)
    assert head.startswith(f"HTTP/1.1 {expected.status} ".encode())
    assert f"content-length: {len(expected.content)}".encode() in head
    assert body == b""


def test_failures_of_the_server_are_counted_and_guarded(
    localizer: Localizer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(localizer) as client:
        monkeypatch.setattr(client.service.results, "get", lambda key: 1 // 0)
        answer = client.get("/api/results/secret")
        assert (answer.status, answer.json) == (500, {"error": "The server failed; its log has the reason"})
        assert "content-security-policy" in answer.headers
        assert 'cosplace_requests_total{status="500"} 1\n' in client.get("/metrics").content.decode()
