import pytest
import utm
from cosplace.demo.city.names import image_name, latitude_folder, panorama_id

# Three real names of SF-XL: what we write for their positions must read the same.
REAL_NAMES = (
    "@0545981.19@4184971.70@10@S@037.81098@-122.47762@rtCs5-P_9NGDzUbKyzStWA@@174@@@@201409@@.jpg",
    "@0544388.51@4172758.25@10@S@037.70098@-122.49646@kPnABhWJ1kA61eMNPLs1vQ@@210@@@@201606@@.jpg",
    "@0544204.32@4173406.33@10@S@037.70683@-122.49851@TYcjxIohRl--XFaR4OgdxA@@0@@@@201910@@.jpg",
)


@pytest.mark.parametrize("name", REAL_NAMES)
def test_names_have_the_sf_xl_form(name: str) -> None:
    parts = name.split("@")
    written = image_name(float(parts[1]), float(parts[2]), int(parts[9]), parts[7], parts[13]).split("@")
    assert written[:5] + written[7:] == parts[:5] + parts[7:]
    for ours, theirs in zip(written[5:7], parts[5:7], strict=True):
        assert len(ours) == len(theirs)
        assert float(ours) == pytest.approx(float(theirs), abs=2e-5)


def test_degrees_convert_back_to_utm() -> None:
    parts = image_name(545_512.25, 4_181_499.5, 90, "x" * 22, "201506").split("@")
    east, north, zone, letter = utm.from_latlon(float(parts[5]), float(parts[6]))
    assert (zone, letter) == (10, "S")
    assert abs(east - 545_512.25) < 1
    assert abs(north - 4_181_499.5) < 1


def test_folder_is_the_latitude_truncated_to_hundredths() -> None:
    assert latitude_folder(545_981.19, 4_184_971.70) == "37.81"
    assert latitude_folder(544_388.51, 4_172_758.25) == "37.70"


def test_panorama_ids_are_deterministic_and_have_22_characters() -> None:
    first, again, other = panorama_id(0, 2013, 5), panorama_id(0, 2013, 5), panorama_id(0, 2013, 6)
    assert first == again != other
    assert len(first) == 22
    assert not set(first) & set("@/=+")
