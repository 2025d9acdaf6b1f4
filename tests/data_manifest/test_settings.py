import dataclasses
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from data_manifest.images.images_folder import ImagesFolder, ImagesUrl
from data_manifest.settings import Settings, normalise, setting
from data_manifest.store.recipe import digest_of


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    size: int = setting(512, "side, in pixels")
    scale: float = setting(1.0, "share")
    name: str = setting("red", "colour", choices=("red", "green"))
    wanted: bool = setting(False, "whether")
    folder: Path | None = setting(None, "where")
    limit: int | None = setting(None, "how many")

    def check(self) -> None:
        if self.size <= 0:
            raise UserError(f"size = {self.size}: a crop needs a side of more than 0 pixels")


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("size", "3", 3),
        ("size", 3.0, 3),
        ("size", "3.0", 3),
        ("size", "1e3", 1000),
        ("size", 2**62 + 1, 2**62 + 1),  # a float would make it even
        ("size", str(2**62 + 1), 2**62 + 1),
        ("scale", 1, 1.0),
        ("scale", "0.5", 0.5),
        ("scale", "1e-5", 1e-5),
        ("wanted", "true", True),
        ("wanted", "TRUE", True),
        ("wanted", " yes ", True),
        ("wanted", "on", True),
        ("wanted", 1, True),
        ("wanted", "0", False),
        ("wanted", "No", False),
        ("name", "green", "green"),
        ("folder", "a/b", Path("a/b")),
        ("folder", Path("a/b"), Path("a/b")),
        ("folder", "", None),
        ("folder", None, None),
        ("limit", "", None),
        ("limit", "7", 7),
    ],
)
def test_a_value_comes_to_its_type(field: str, given: Any, expected: Any) -> None:
    value = getattr(Example(**{field: given}), field)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("size", "3.5", "a whole number"),
        ("size", 3.5, "a whole number"),
        ("size", True, "a whole number"),
        ("size", "many", "a whole number"),
        ("size", "", "a whole number"),
        ("size", None, "a whole number"),
        ("size", "inf", "a whole number"),
        ("size", "nan", "a whole number"),
        ("scale", "nan", "a number"),
        ("scale", float("inf"), "a number"),
        ("scale", "1e400", "a number"),
        ("scale", True, "a number"),
        ("scale", None, "a number"),
        ("scale", [1], "a number"),
        ("name", None, "a text"),
        ("wanted", "maybe", "true or false"),
        ("wanted", 2, "true or false"),
        ("wanted", None, "true or false"),
        ("folder", 5, "a path"),
        ("limit", "none", "a whole number"),
    ],
)
def test_what_means_nothing_is_refused_by_field_and_value(field: str, given: Any, expected: str) -> None:
    with pytest.raises(UserError) as error:
        Example(**{field: given})
    assert str(error.value) == f"{field} = {given!r}: expected {expected}"


def test_choices_are_named() -> None:
    with pytest.raises(UserError, match=r"^name = 'blue': choose one of red, green$"):
        Example(name="blue")


def test_check_sees_values_of_the_right_type() -> None:
    with pytest.raises(UserError, match=r"^size = 0: a crop needs a side of more than 0 pixels$"):
        Example(size="0")  # type: ignore[arg-type]


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().size = 3  # type: ignore[misc]


def test_the_same_values_give_the_same_digest_however_they_were_written() -> None:
    written = Example(size="3", scale=2, wanted="yes", folder="a/b", limit="4")  # type: ignore[arg-type]
    meant = Example(size=3, scale=2.0, wanted=True, folder=Path("a/b"), limit=4)
    assert written == meant
    assert digest_of(written.as_dict()) == digest_of(meant.as_dict())


def test_as_dict_is_what_json_knows() -> None:
    assert Example(folder=Path("a/b")).as_dict() == {
        **{"size": 512, "scale": 1.0, "name": "red", "wanted": False, "folder": "a/b", "limit": None}
    }


def test_help_and_choices_go_with_the_field() -> None:
    fields = {field.name: field for field in dataclasses.fields(Example)}
    name, size = fields["name"].metadata, fields["size"].metadata
    assert (name["help"], name["choices"]) == ("colour", ("red", "green"))
    assert (size["help"], size["choices"]) == ("side, in pixels", ())


def test_normalise_is_of_use_by_itself() -> None:
    assert normalise("limit", "3", int | None) == 3
    assert normalise("limit", "", int | None) is None


def _as_upper(text: str) -> str:
    if not text.isalpha():
        raise ValueError("letters alone are expected")
    return text.upper()


@dataclasses.dataclass(frozen=True)
class Grown(Settings):
    size: int = setting(512, "side, in pixels")
    code: str | None = setting(None, "letters", form=_as_upper, added_later=True)


def test_texts_that_mean_the_same_come_to_one_form() -> None:
    assert Grown(code="ab") == Grown(code="AB")
    assert Grown(code="") == Grown(code=None) == Grown()
    with pytest.raises(UserError) as error:
        Grown(code="a1")
    assert str(error.value) == "code = 'a1': letters alone are expected"


def test_a_field_that_was_added_later_leaves_earlier_digests_as_they_were() -> None:
    assert Grown().as_dict() == {"size": 512}
    assert Grown(code="ab").as_dict() == {"size": 512, "code": "AB"}


@dataclasses.dataclass(frozen=True)
class Folders(Settings):
    title = "Folders"

    images: ImagesFolder | None = setting(None, "images")
    results: Path = setting(Path("results"), "results")


def test_folders_of_images_may_be_urls_and_others_not() -> None:
    url = Folders(images="s3://bucket//a/").images  # type: ignore[arg-type]
    assert url == ImagesUrl("s3://bucket", "a")
    assert Folders(images=url).as_dict() == {"images": "s3://bucket/a", "results": "results"}
    assert Folders(images="photos").images == Path("photos")  # type: ignore[arg-type]
    assert Folders(images="").images is None  # type: ignore[arg-type]
    for given in ("s3://bucket/a", "s3:/bucket/a"):
        with pytest.raises(UserError, match=rf"^results = {given}: must be on this machine\. Only images can be at"):
            Folders(results=given)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^ftp://host: unknown scheme ftp\."):
        Folders(images="ftp://host")  # type: ignore[arg-type]
