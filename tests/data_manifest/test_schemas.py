import pyarrow as pa
import pytest

from data_manifest import schemas

# As the design writes them: what a reader of the tables builds on. Another meaning of a column that was there is
# another SCHEMA_VERSION.
COLUMNS = {
    "MANIFEST": """path:string utm_east:double utm_north:double utm_zone:int8? utm_band:string? latitude:double?
        longitude:double? pano_id:string? tile_num:string? heading:double? heading_source:string?
        heading_reference:string? pitch:double? roll:double? height:double?
        timestamp:string? year:int16? month:int8? note:string?""",
    "CLASSES": """group_index:int32 class_index:int32 utm_zone:int8? hemisphere:string? cell_east:int64 cell_north:int64
        heading_bin:int32 num_images:int32""",
    "CLASS_COUNTS": """utm_zone:int8? hemisphere:string? cell_east:int64 cell_north:int64 heading_bin:int32?
        num_images:int32 members_hash:uint64""",
    "MEMBERS": "group_index:int32 class_index:int32 path:string year:int16?",
    "METRICS": """epoch:int32 group_index:int32 loss:double recall_1:double? recall_5:double? recall_10:double?
        recall_20:double? images_per_second:double data_wait_share:double lr:double classifiers_lr:double
        resumes:int32 cache_hit_share:double? gb_read:double?""",
    "PREDICTIONS": """query_path:string rank:int32 database_path:string score:float distance_m:double? correct:bool?
        heading_difference:double? years_apart:int16?""",
    "RECALLS": """test_set:string k:int32 recall:double? queries:int32 queries_without_positive:int32?
        database_images:int32 recall_answerable:double? interval_low:double? interval_high:double? threshold:double
        threshold_unit:string index:string index_loss:double? published_recall:double? published_source:string?
        count_warning:string?""",
    "BREAKDOWN": """test_set:string aspect:string between:string label:string low:double? high:double? k:int32
        queries:int32 recall:double""",
}


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_are_those_of_the_design(table: str) -> None:
    schema: pa.Schema = getattr(schemas, table)
    assert schemas.SCHEMA_VERSION == 2
    assert [f"{field.name}:{field.type}{'?' * field.nullable}" for field in schema] == COLUMNS[table].split()


def test_reasons_are_an_enum() -> None:
    assert schemas.REJECTS.names == ["path", "reason", "detail"]
    assert pa.types.is_dictionary(schemas.REJECTS.field("reason").type)
    assert not any(field.nullable for field in schemas.REJECTS)


@pytest.mark.parametrize("table", [*COLUMNS, "REJECTS"])
def test_every_column_says_what_it_means(table: str) -> None:
    assert all(field.metadata[b"description"] for field in getattr(schemas, table))
