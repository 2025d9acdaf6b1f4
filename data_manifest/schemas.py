"""The schema of every table: columns, types and descriptions."""

import pyarrow as pa

# Raise when a column changes its name, type or meaning: it is part of every digest, so all artifacts are rebuilt. For a
# new column, raise only the VERSION of the stage that writes it.
SCHEMA_VERSION = 2


def _column(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


def _optional(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return _column(name, kind, meaning, nullable=True)


def _schema(*columns: pa.Field) -> pa.Schema:
    return pa.schema(columns)


_PATH = "path relative to the images folder, with /; if not UTF-8, ./ and the percent-escaped path"
_GROUP = _column("group_index", pa.int32(), "(u * N + v) * L + w")
_CLASS = _column("class_index", pa.int32(), "0..C-1 within the group: the classifier's row")

MANIFEST = _schema(
    _column("path", pa.string(), _PATH),
    _column("utm_east", pa.float64(), "metres"),
    _column("utm_north", pa.float64(), "metres"),
    _optional("utm_zone", pa.int8(), "UTM zone number, 1 to 60"),
    _optional("utm_band", pa.string(), "UTM latitude band; N and above is the northern hemisphere"),
    _optional("latitude", pa.float64(), "degrees"),
    _optional("longitude", pa.float64(), "degrees"),
    _optional("pano_id", pa.string(), "the panorama that the image was cut from"),
    _optional("tile_num", pa.string(), "the tile within the panorama, as written"),
    _optional("heading", pa.float64(), "degrees clockwise from north in [0, 360)"),
    _optional("heading_source", pa.string(), "table, exif, xmp, mapillary, or track (estimated); null: the file name"),
    _optional("heading_reference", pa.string(), "north of the heading: true or magnetic"),
    _optional("pitch", pa.float64(), "degrees"),
    _optional("roll", pa.float64(), "degrees"),
    _optional("height", pa.float64(), "metres"),
    _optional("timestamp", pa.string(), "as written: YYYYMMDD_hhmmss, may be cut short"),
    _optional("year", pa.int16(), "from the timestamp"),
    _optional("month", pa.int8(), "from the timestamp, 1 to 12"),
    _optional("note", pa.string(), "as written"),
)
REJECTS = _schema(
    _column("path", pa.string(), _PATH),
    _column("reason", pa.dictionary(pa.int8(), pa.string()), "why the file is rejected"),
    _column("detail", pa.string(), "what was found"),
)
CHECKS = _schema(
    _column("path", pa.string(), _PATH),
    _optional("width", pa.int32(), "pixels, as stored, before any EXIF rotation"),
    _optional("height", pa.int32(), "pixels, as stored"),
    _optional("mode", pa.string(), "Pillow's image mode, such as L, RGB or CMYK"),
    _optional("bytes", pa.int64(), "size of the file; null if missing"),
    _optional("modified_ns", pa.int64(), "modification time of the file in nanoseconds; null if missing"),
    _column("status", pa.dictionary(pa.int8(), pa.string()), "ok, or the fault of the image"),
    _optional("detail", pa.string(), "what was found; for an image that is ok, what is unusual"),
)
CROPPED = _schema(
    _column("path", pa.string(), "path of the panorama relative to the panoramas folder"),
    _optional("heading", pa.float64(), "heading of the centre column, degrees clockwise from north in [0, 360)"),
    _column("crops", pa.int32(), "number of crops"),
    _column("status", pa.dictionary(pa.int8(), pa.string()), "ok, or why it was not cropped"),
    _optional("detail", pa.string(), "what was found"),
)
LISTED_FOLDERS = _schema(
    _column("path", pa.binary(), "of the folder, relative to the images folder, with a slash at its end"),
    _column("modified_ns", pa.int64(), "its modification time when it was listed, nanoseconds"),
    _column("changed_ns", pa.int64(), "its change time when it was listed, nanoseconds"),
    _column("listed_ns", pa.int64(), "the clock, just before it was listed, nanoseconds; 0: list it each time"),
    _column("count", pa.int64(), "images in it, not below"),
    _column("children", pa.list_(pa.binary()), "names of the folders in it that are listed"),
    _column("hidden_images", pa.int64(), "hidden images in it, not listed"),
    _column("skipped_folders", pa.list_(pa.binary()), "names of the folders in it that are not listed"),
    _column("leaf", pa.list_(pa.uint32()), "leaves that these images are in"),
    _column("rows", pa.list_(pa.int64()), "how many of them are in each leaf"),
    _column("sum_1", pa.list_(pa.uint64()), "the sum of a hash of their paths, for each leaf"),
    _column("sum_2", pa.list_(pa.uint64()), "the sum of another hash of their paths, for each leaf"),
)
_CELL = (
    _optional("utm_zone", pa.int8(), "UTM zone number of the cell"),
    _optional("hemisphere", pa.string(), "N or S; null if neither band nor latitude is known"),
    _column("cell_east", pa.int64(), "floor(utm_east / M)"),
    _column("cell_north", pa.int64(), "floor(utm_north / M)"),
)
CLASSES = _schema(
    _GROUP,
    _CLASS,
    *_CELL,
    _column("heading_bin", pa.int32(), "floor(heading / alpha)"),
    _column("num_images", pa.int32(), "number of images"),
)
CLASS_COUNTS = _schema(
    *_CELL,
    _optional("heading_bin", pa.int32(), "floor(heading / alpha); null for the images without a heading"),
    _column("num_images", pa.int32(), "images of the class in one partition of the manifest"),
    _column("members_hash", pa.uint64(), "sum, modulo 2^64, of a hash of the path and year of each of these images"),
)
MEMBERS = pa.schema(
    [_GROUP, _CLASS, _column("path", pa.string(), _PATH), _optional("year", pa.int16(), "year of the image")]
)
FILES = _schema(
    _column("path", pa.string(), _PATH),
    _optional("bytes", pa.int64(), "size of the image file before it was read; null if missing"),
    _optional("modified_ns", pa.int64(), "modification time before it was read, nanoseconds; null if missing"),
)
INDEX = _schema(
    _column("path", pa.string(), _PATH),
    _column("shard", pa.string(), "name of the tar file in `shards` that has the image"),
    _column("offset", pa.int64(), "where the image begins in the shard, in bytes"),
    _column("size", pa.int64(), "bytes of the image"),
    _column("xxh3", pa.uint64(), "XXH3 of these bytes, 64 bits, as xxhsum -H3 prints in hexadecimal"),
)
READS = _schema(
    _column("epoch", pa.int32(), "from 0"),
    _column("sample", pa.int64(), "number within the epoch, from 0; batch i begins at i * batch_size"),
    _column("group", pa.int32(), "index of the group that the epoch trains on"),
    _column("path", pa.string(), _PATH),
    _optional(
        "next_use",
        pa.int64(),
        "row of this table, from 0, that reads the image next; null if none does. Rows are in the order of the reads",
    ),
)
METRICS = _schema(
    _column("epoch", pa.int32(), "from 0"),
    _column("group_index", pa.int32(), "the group that the epoch trained on"),
    _column("loss", pa.float64(), "mean CosFace loss over the epoch"),
    *(_optional(f"recall_{k}", pa.float64(), f"validation R@{k} after the epoch, percent") for k in (1, 5, 10, 20)),
    _column("images_per_second", pa.float64(), "training throughput"),
    _column("data_wait_share", pa.float64(), "fraction of the epoch spent waiting for data, 0 to 1"),
    _column("lr", pa.float64(), "learning rate of the network"),
    _column("classifiers_lr", pa.float64(), "learning rate of the classifiers"),
    _column("resumes", pa.int32(), "number of times that the run was resumed so far"),
    _optional(
        "cache_hit_share",
        pa.float64(),
        "fraction of the epoch's reads, since the run was last started, whose image was in the cache before, 0 to 1; "
        "null without a cache",
    ),
    _optional("gb_read", pa.float64(), "gigabytes (10^9 bytes) of images that these reads took from their store"),
)
SKIPPED = _schema(
    _column("path", pa.string(), _PATH),
    _column("detail", pa.string(), "why the image could not be read"),
    _column("epoch", pa.int32(), "first epoch, from 0, that skipped it"),
)
SEEDS = _schema(
    _column("seed", pa.int64(), "seed of the training"),
    _column("epoch", pa.int32(), "best epoch of the run, from 0"),
    *(_optional(f"recall_{k}", pa.float64(), f"its validation R@{k}, percent") for k in (1, 5, 10, 20)),
)
SEEDS_SUMMARY = _schema(
    _column("k", pa.int32(), "number of best matches considered"),
    _column("seeds", pa.int32(), "number of seeds"),
    _column("mean", pa.float64(), "mean of R@k over the seeds, percent"),
    _optional("deviation", pa.float64(), "sample standard deviation of R@k (n - 1), percent; null for one seed"),
)
PREDICTIONS = _schema(
    _column("query_path", pa.string(), _PATH),
    _column("rank", pa.int32(), "1 is the best match"),
    _column("database_path", pa.string(), _PATH),
    _column("score", pa.float32(), "cosine similarity of the descriptors"),
    _optional(
        "distance_m",
        pa.float64(),
        "metres (or frames, if the test set counts in frames) between query and match; infinite across UTM zones; null "
        "without ground truth",
    ),
    _optional("correct", pa.bool_(), "the match is a positive of the query; null without ground truth"),
    _optional("heading_difference", pa.float64(), "degrees between the headings of query and match, 0 to 180"),
    _optional("years_apart", pa.int16(), "year of the match minus year of the query"),
)
RECALLS = _schema(
    _column("test_set", pa.string(), "name of the test set"),
    _column("k", pa.int32(), "number of best matches considered"),
    _optional(
        "recall", pa.float64(), "percent of queries with a positive among the k best matches; null without ground truth"
    ),
    _column("queries", pa.int32(), "number of queries"),
    _optional(
        "queries_without_positive", pa.int32(), "queries without any positive in the database, counted as misses"
    ),
    _column("database_images", pa.int32(), "number of database images"),
    _optional("recall_answerable", pa.float64(), "recall of the queries with a positive"),
    _optional("interval_low", pa.float64(), "lower end of the 95 % bootstrap interval of the recall"),
    _optional("interval_high", pa.float64(), "upper end of the interval"),
    _column("threshold", pa.float64(), "largest distance between a query and its positives"),
    _column("threshold_unit", pa.string(), "metres or frames"),
    _column("index", pa.string(), "search index: exact, ivfpq or hnsw"),
    _optional(
        "index_loss",
        pa.float64(),
        "recall lost against exact search in percentage points, measured on at most 1,000 queries",
    ),
    _optional(
        "published_recall", pa.float64(), "recall in percent of the published model with this network on this test set"
    ),
    _optional("published_source", pa.string(), "source of the published recall"),
    _optional("count_warning", pa.string(), "how the image counts differ from those of the named test set"),
)
BREAKDOWN = _schema(
    _column("test_set", pa.string(), "name of the test set"),
    _column("aspect", pa.string(), "distance, heading_difference or years_apart"),
    _column("between", pa.string(), "query and best match, or query and nearest positive (nearest in this aspect)"),
    _column("label", pa.string(), "bin, such as 10 to 25 m; or no positive, or unknown"),
    _optional("low", pa.float64(), "lower limit of the bin, exclusive except in the first bin"),
    _optional("high", pa.float64(), "upper limit of the bin, inclusive; infinite in the last bin"),
    _column("k", pa.int32(), "number of best matches considered"),
    _column("queries", pa.int32(), "number of queries in the bin"),
    _column("recall", pa.float64(), "percent of them with a positive among the k best matches"),
)
CERTAINTY = _schema(
    _column("query_path", pa.string(), _PATH),
    _column("similarity", pa.float64(), "cosine similarity to the first match; high values are certain"),
    _column(
        "ratio",
        pa.float64(),
        "distance of the descriptors to the first match, divided by that to the best match further than the threshold "
        "from it, among the 20 best: 0 (all are of one place) to 1; low values are certain",
    ),
    _column(
        "spread",
        pa.float64(),
        "spread of the positions of the 10 best matches, weighted by similarity, in metres or frames (SUE, arXiv "
        "2404.00546); low values are certain",
    ),
    _column("correct", pa.bool_(), "the first match is a positive of the query"),
)
AUPRC = _schema(
    _column("test_set", pa.string(), "name of the test set"),
    _column("certainty", pa.string(), "similarity, ratio or spread"),
    _column("queries", pa.int32(), "number of queries"),
    _column("correct", pa.int32(), "number of queries whose first match is correct"),
    _optional("auprc", pa.float64(), "area under the precision-recall curve, percent; null if no query is correct"),
    _optional("interval_low", pa.float64(), "lower end of the 95 % bootstrap interval of the area"),
    _optional("interval_high", pa.float64(), "upper end of the interval"),
    *(
        column
        for percent in (90, 95)
        for column in (
            _optional(
                f"threshold_{percent}",
                pa.float64(),
                f"value of the least certain query that is answered, if {percent} % of the answers are to be correct; "
                "null if no threshold gives that",
            ),
            _column(f"answered_{percent}", pa.int32(), "number of queries answered with this threshold"),
        )
    ),
)
