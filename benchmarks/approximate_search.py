"""Approximate search: what an index of faiss costs and what it misses, on generated descriptors with neighbours.

Random unit vectors have no neighbours, so descriptors are made as a city's are: places within districts, some images of
each place. A place is three parts of its district's direction to seven of its own; an image has a cosine of about 0.8
to its place. Queries are of places too, from easy to hard: the share of the place in them rises evenly from nothing.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import Command, as_gigabytes, as_seconds, measure, note, table

ROOT = Path(__file__).resolve().parent.parent
DIM, K, KS = 512, 20, (1, 5, 20)
DISTRICTS, IMAGES_A_PLACE, QUERIES, LONE_QUERIES = 1000, 20, 1000, 100
ROWS_AT_A_TIME = 100_000
SHARE_OF_DISTRICT, SHARE_OF_PLACE = 0.3, 0.64  # of the squared length: cosines of 0.55 and 0.8

# Memory is what the program holds beside the mapped file of the descriptors, whose pages are the system's to free.
ONE_KIND = """
import json, sys, time
from pathlib import Path
import numpy as np
from evaluation.descriptors.build_descriptors import open_descriptors
from evaluation.search.build_index import INDEX_FILE, build_index, open_index, search_index
from evaluation.search.exact_search import search
descriptors, queries, kind, found = Path(sys.argv[1]), np.load(sys.argv[2]), *sys.argv[3:5]
k, lone = map(int, sys.argv[5:])
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
took, before = {}, resident()
def timed(name, run):
    began, processor = time.monotonic(), time.process_time()
    result = run()
    took[name] = time.monotonic() - began, time.process_time() - processor
    return result
database = open_descriptors(descriptors)
if kind == "exact":
    look_up = lambda some: search(database, some, k)
else:
    folder = timed("building", lambda: build_index(descriptors, kind, descriptors.parents[2]))
    took["bytes"] = (folder / INDEX_FILE).stat().st_size
    index = timed("loading", lambda: open_index(folder))
    look_up = lambda some: search_index(index, database, some, k)
look_up(queries[:1])
rows = timed("all", lambda: look_up(queries))[1]
timed("one", lambda: [look_up(queries[n : n + 1]) for n in range(lone)])
took["memory"] = resident() - before
np.save(found, rows)
print(json.dumps(took))
"""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale to unit length."""
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def around(centres: np.ndarray, share: np.ndarray | float, generator: np.random.Generator) -> np.ndarray:
    """Return unit vectors that have so much of a centre in them, as a share of the squared length."""
    own = unit(generator.standard_normal(centres.shape, dtype=np.float32))
    return unit(np.sqrt(share) * centres + np.sqrt(1 - share) * own).astype(np.float32)


def make_places(count: int) -> np.ndarray:
    """Return the directions of places, which cluster in districts."""
    generator = np.random.default_rng(0)
    districts = unit(generator.standard_normal((DISTRICTS, DIM), dtype=np.float32))
    return around(districts[generator.integers(0, DISTRICTS, count)], SHARE_OF_DISTRICT, generator)


def images_of(places: np.ndarray) -> Iterator[np.ndarray]:
    """Give the images of all places, place by place, some at a time."""
    step = ROWS_AT_A_TIME // IMAGES_A_PLACE
    for first in range(0, len(places), step):
        repeated = places[first : first + step].repeat(IMAGES_A_PLACE, axis=0)
        yield around(repeated, SHARE_OF_PLACE, np.random.default_rng(1 + first))


def make_queries(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return queries, and the place of each."""
    generator = np.random.default_rng(-1 % 2**32)
    of = generator.integers(0, len(places), QUERIES)
    cosines = np.linspace(0, 1, QUERIES, dtype=np.float32)[:, None]
    return around(places[of], cosines**2, generator), of


def publish(places: np.ndarray, artifacts: Path) -> Path:
    """Publish the images of the places as descriptors."""
    from data_manifest.store.publish import publishing
    from data_manifest.store.recipe import Recipe
    from evaluation.descriptors.build_descriptors import ARRAY

    recipe = Recipe("descriptors", "city", 1, {}, {})
    with publishing(artifacts, recipe, {}) as staging:
        shape = len(places) * IMAGES_A_PLACE, DIM
        array = np.lib.format.open_memmap(staging / ARRAY, "w+", np.float32, shape)
        first = 0
        for some in images_of(places):
            array[first : first + len(some)] = some
            first += len(some)
        array.flush()
    return recipe.folder(artifacts)


def index(options: argparse.Namespace) -> str:
    """Build each index over generated descriptors, and hold what it finds against exact search."""
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        places = make_places(int(options.millions * 1e6) // IMAGES_A_PLACE)
        note(f"generating {len(places) * IMAGES_A_PLACE:,} descriptors of {len(places):,} places")
        descriptors = publish(places, work)
        queries, of = make_queries(places)
        np.save(work / "queries.npy", queries)
        rows, exact = [], np.empty(0)
        for kind in ("exact", "ivfpq", "hnsw"):
            note(kind)
            found = work / f"{kind}.npy"
            words = [str(descriptors), str(work / "queries.npy"), kind, str(found), str(K), str(LONE_QUERIES)]
            took = json.loads(measure(Command([sys.executable, "-c", ONE_KIND, *words], folder=ROOT)).output)
            matches = np.load(found)
            exact = matches if kind == "exact" else exact
            rows.append(_row(kind, took, matches, exact, of, len(places) * IMAGES_A_PLACE * DIM * 4))
    titles = ("search", "on the disk", "building", "memory when loaded", f"{QUERIES:,} queries", "a query alone")
    recalls = (*(f"R@{k}" for k in KS), f"of the {K} best")
    return table((f"{options.millions:g} million: {titles[0]}", *titles[1:], *recalls), rows)


def _row(kind: str, took: dict, matches: np.ndarray, exact: np.ndarray, of: np.ndarray, whole: int) -> list[str]:
    size = took.get("bytes", whole)
    (every, every_processor), lone = took["all"], took["one"][0] / LONE_QUERIES
    building = "" if kind == "exact" else "{} ({:.1f})".format(as_seconds(took["building"][0]), took["building"][1])
    shared = np.mean(
        [len(set(ours) & set(best)) / K for ours, best in zip(matches.tolist(), exact.tolist(), strict=True)]
    )
    correct, best = (rows // IMAGES_A_PLACE == of[:, None] for rows in (matches, exact))
    recalls = []
    for k in KS:
        ours, theirs = (100 * each[:, :k].any(axis=1).mean() for each in (correct, best))
        recalls.append(f"{ours:.1f}" + ("" if kind == "exact" else f" ({ours - theirs:+.1f})"))
    sizes = f"{as_gigabytes(size)}, {100 * size / whole:.0f} %", building, as_gigabytes(int(took["memory"]))
    return [
        kind,
        *sizes,
        f"{as_seconds(every)} ({every_processor:.1f})",
        f"{1000 * lone:.1f} ms",
        *recalls,
        f"{100 * shared:.0f} %",
    ]
