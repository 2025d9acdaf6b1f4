"""The flags of the server, and the socket it listens on."""

import argparse
import importlib.util
import socket

import pytest

from data_manifest.errors import UserError
from serve.settings import TOKEN_VARIABLE, Limits, ServerSettings, Tiles, add_server, listen
from tests.serve.client import TOKEN
from tests.serve.conftest import needs_server

pytestmark = needs_server


def settings(*words: str) -> ServerSettings:
    parser = argparse.ArgumentParser()
    add_server(parser)
    return ServerSettings.of(parser.parse_args(words))


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def test_flags_set_the_limits() -> None:
    assert settings() == ServerSettings()
    words = ("--max-photos", "2", "--max-megabytes", "3", "--max-megapixels", "4", "--queue", "5", "--seconds", "6")
    assert settings(*words).limits == Limits(2, 3, 4, 5, 6)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert settings("--host", host).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
def test_other_machines_need_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"other machines can reach it\. Pass --token"):
        settings("--host", host)
    assert settings("--host", host, "--token", TOKEN).token == TOKEN
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert settings("--host", host).token == TOKEN


@pytest.mark.parametrize("token", ["", "short", "a token of 24 charäcters", "a token\nof 24 characters"])
def test_weak_tokens_are_errors(token: str) -> None:
    with pytest.raises(UserError, match="--token: must be at least 16 characters of ASCII"):
        settings("--token", token)


TILES = "https://tiles.example:8443/{z}/{x}/{y}.png?key=a-b"


def test_tiles_have_an_origin_and_an_attribution() -> None:
    tiles = settings("--tiles", TILES, "--tiles-attribution", "© someone").tiles
    assert tiles == Tiles(TILES, "© someone")
    assert tiles is not None
    assert tiles.origin == "https://tiles.example:8443"
    assert settings("--tiles", "http://127.0.0.1:8080/{z}/{x}/{y}").tiles == Tiles("http://127.0.0.1:8080/{z}/{x}/{y}")
    assert settings().tiles is None


@pytest.mark.parametrize(
    "url",
    [
        "https://tiles.example/{z}/{x}.png",
        "https://tiles.example/{z}/{x}/{y}/{y}.png",
        "https://{s}.tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{z}/{x}/{y}.png{r}",
        "https://tiles.example; script-src *//{z}/{x}/{y}.png",
        "https://user:secret@tiles.example/{z}/{x}/{y}.png",
        "tiles/{z}/{x}/{y}.png",
        "javascript:alert(1)//{z}/{x}/{y}",
        "https://tiles.example/{z}/{x}/{y}.png\nX: y",
    ],
)
def test_wrong_tiles_are_errors(url: str) -> None:
    with pytest.raises(UserError, match=r"(?s)--tiles .*must be an address with \{z\}, \{x\} and \{y\}, as in https:"):
        settings("--tiles", url)


def test_tiles_of_other_machines_need_https_and_an_attribution_needs_tiles() -> None:
    with pytest.raises(UserError, match="must begin with https://, unless the tile server is on this machine"):
        settings("--tiles", TILES.replace("https", "http"))
    with pytest.raises(UserError, match="--tiles-attribution me: no effect without --tiles"):
        settings("--tiles-attribution", "me")


def test_wrong_ports_are_errors() -> None:
    with pytest.raises(UserError, match=r"--port 70000: must be from 0"):
        settings("--port", "70000")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port {port}: already in use on 127\.0\.0\.1\. Pass another --port"):
            listen(ServerSettings(port=port))
    with pytest.raises(UserError, match=r"--host 192\.0\.2\.1: not an address of this machine"):
        listen(ServerSettings(host="192.0.2.1", port=0))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(UserError, match=r"needs the packages uvicorn: pip install 'cosplace-pipeline\[serve\]'"):
        settings()
