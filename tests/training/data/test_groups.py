import json
import logging
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from data_manifest.errors import UserError
from data_manifest.tables import read_table
from tests.training.conftest import WriteGroups
from training.data.groups import Group, choose_groups, digest_of_groups, read_members
from training.data.members import map_table


def test_first_non_empty_groups(write_groups: WriteGroups, caplog: pytest.LogCaptureFixture) -> None:
    groups_folder = write_groups({9: 4, 1: 5, 7: 3}) / "groups"
    assert choose_groups(groups_folder, groups_num=2, batch_size=3) == [Group(1, 5, 15), Group(7, 3, 9)]
    assert str(Group(3, 1204, 31880)) == "group 3: 1,204 classes, 31,880 images"
    assert not caplog.records


def test_too_few_groups_are_a_warning(write_groups: WriteGroups, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        groups = choose_groups(write_groups({1: 3, 5: 3}) / "groups", groups_num=8, batch_size=3)
    assert [group.index for group in groups] == [1, 5]
    assert "groups_num = 8, but only 2 groups are non-empty" in caplog.text


def test_fewer_classes_than_the_batch_are_an_error(write_groups: WriteGroups) -> None:
    groups_folder = write_groups({0: 4, 2: 3}) / "groups"
    expected = "Group 2 has 3 classes, fewer than --batch-size 4"
    with pytest.raises(UserError, match=expected):
        choose_groups(groups_folder, groups_num=2, batch_size=4)
    assert len(choose_groups(groups_folder, groups_num=1, batch_size=4)) == 1  # groups that are not used do not count


def test_named_groups_in_the_given_order(write_groups: WriteGroups, caplog: pytest.LogCaptureFixture) -> None:
    groups_folder = write_groups({9: 4, 1: 5, 7: 3}) / "groups"
    groups = choose_groups(groups_folder, groups_num=8, batch_size=3, group_indices=(9, 1))
    assert groups == [Group(9, 4, 12), Group(1, 5, 15)]
    assert not caplog.records, "groups_num is ignored"


def test_named_empty_groups_error_lists_the_others(write_groups: WriteGroups) -> None:
    groups_folder = write_groups({1: 3, 2: 3, 3: 3, 9: 3}) / "groups"
    with pytest.raises(UserError) as error:
        choose_groups(groups_folder, groups_num=8, batch_size=3, group_indices=(1, 0, 50))
    expected = "groups = 1,0,50: no classes in 0, 50. Groups with classes: 1-3, 9"
    assert str(error.value) == expected


def test_missing_tables_are_an_error(write_groups: WriteGroups, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no Parquet file"):
        choose_groups(tmp_path, 1, 1)


def test_reads_the_members_of_the_group(write_groups: WriteGroups) -> None:
    groups_folder = write_groups({0: 3, 4: 5}) / "groups"
    members = read_members(groups_folder, 4, groups_folder.parent)
    assert members.num_classes == 5
    listed = [
        (4, class_index, members.path(class_index, number))
        for class_index in range(members.num_classes)
        for number in range(members.num_images(class_index))
    ]
    rows = read_table(groups_folder, "members", ["group_index", "class_index", "path"]).rows()
    assert listed == [row for row in rows if row[0] == 4]


def test_reads_only_the_file_of_the_group(write_groups: WriteGroups) -> None:
    groups_folder = write_groups({0: 3, 4: 5}) / "groups"
    (groups_folder / "members/group-000000.parquet").unlink()
    assert read_members(groups_folder, 4, groups_folder.parent).num_classes == 5


def test_members_are_memory_mapped_and_not_pickled(write_groups: WriteGroups) -> None:
    folder = write_groups({0: 3, 4: 400})
    members = read_members(folder / "groups", 4, folder / "run")
    assert members.path(399, 2) == "g4/é399_2.png"
    assert [path.name for path in (folder / "run").iterdir()] == ["members.arrow"]
    before = pa.total_allocated_bytes()
    assert map_table(members.file).nbytes > 400 * 3 * len("g4/é0_0.png")
    assert pa.total_allocated_bytes() == before, "the columns are memory-mapped"
    assert len(pickle.dumps(members)) < 1000, "the size sent to a worker does not grow with the group"
    read_members(folder / "groups", 0, folder / "run")  # the next epoch's, while these are still read
    assert members.path(0, 1) == "g4/é0_1.png"


def test_the_digest_of_a_published_artifact(tmp_path: Path) -> None:
    assert digest_of_groups(tmp_path) is None
    (tmp_path / "recipe.json").write_text(json.dumps({"digest": "0123abc"}))
    assert digest_of_groups(tmp_path) == "0123abc"
