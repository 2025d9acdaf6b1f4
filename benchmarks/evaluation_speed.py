"""Evaluation at SF-XL's size: search in 2.8 million descriptors, images embedded per second, a photo localized.

    python benchmarks/evaluation_speed.py search WORK
    python benchmarks/evaluation_speed.py extract
    python benchmarks/evaluation_speed.py localize WORK
    python benchmarks/evaluation_speed.py index WORK

WORK is a folder for generated descriptors, 5.7 GB for 2.8 million of 512 numbers; they are removed in the end.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from approximate_search import index
from measure import Command, as_gigabytes, as_seconds, machine, measure, note, table
from synthetic_database import DIM, generate, load_localizer, unit_vectors, write_database

ROOT = Path(__file__).resolve().parent.parent
QUERIES, K = 1000, 20
SIZES = ((640, 480), (480, 640), (512, 512), (600, 450))

# The program looks at its own peak: pages of the mapped file count while a piece is searched.
SEARCH = """
import sys, time, numpy as np
from evaluation.search.exact_search import search
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
queries, database = np.load(sys.argv[2]), np.load(sys.argv[1], mmap_mode="r")
search(queries[:100], queries, 20)
before, began = peak(), time.monotonic()
search(database, queries, 20)
print(peak() - before, time.monotonic() - began)
"""


def search(options: argparse.Namespace) -> str:
    """Search exactly in millions, and hold the first part against one flat index of faiss."""
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    database, queries = work / "database.npy", work / "queries.npy"
    count = int(options.millions * 1e6)
    try:
        np.save(queries, unit_vectors(QUERIES, 0))
        note(f"generating {count:,} unit vectors")
        generate(database, count)
        note("searching")
        command = Command([sys.executable, "-c", SEARCH, str(database), str(queries)], folder=ROOT)
        taken = measure(command)
        more, seconds = map(float, taken.output.split())
        note("against one flat index")
        differing, flat_seconds, ours_seconds = against_flat(database, np.load(queries), min(count, 500_000))
    finally:
        for path in (database, queries):
            path.unlink(missing_ok=True)
    titles = ("million descriptors", "memory above the queries", "queries", "exact search", "against one flat index")
    part = f"{ours_seconds / flat_seconds:.2f} of its time in 0.5 million, {differing} of {QUERIES * K:,} rows differ"
    processor = f"{as_seconds(seconds)} ({taken.user_seconds:.1f} + {taken.system_seconds:.1f})"
    return table(titles, [(f"{options.millions:g}", as_gigabytes(int(more)), f"{QUERIES:,}", processor, part)])


def against_flat(path: Path, queries: np.ndarray, count: int) -> tuple[int, float, float]:
    """Return how many matches differ from a flat index's by more than ties within 1e-6, and the seconds of both."""
    import faiss

    from evaluation.search.exact_search import search as search_in_pieces

    part = np.ascontiguousarray(np.load(path, mmap_mode="r")[:count])
    began = time.monotonic()
    index = faiss.IndexFlatL2(DIM)
    index.add(part)
    flat_distances, flat_rows = index.search(queries, K)
    flat = time.monotonic() - began
    began = time.monotonic()
    distances, rows = search_in_pieces(part, queries, K)
    ours = time.monotonic() - began
    differ = (rows != flat_rows) & (np.abs(distances - flat_distances) > 1e-6)
    return int(differ.sum()), flat, ours


def extract(options: argparse.Namespace) -> str:
    """Embed images of several sizes, one by one and as the product does."""
    import torch
    from PIL import Image

    from evaluation.descriptors.extract import extract_descriptors
    from evaluation.descriptors.image_dataset import ImageDataset
    from evaluation.settings import Extraction
    from training.network.model import GeoLocalizationNet
    from training.network.preprocessing import Preprocessing

    torch.manual_seed(0)
    network = GeoLocalizationNet(options.backbone, DIM).eval()
    with tempfile.TemporaryDirectory() as folder:
        import pyarrow as pa

        names = [f"{number}.jpg" for number in range(options.images)]
        for number, name in enumerate(names):
            noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC).save(Path(folder, name))
        files = ImageDataset(Path(folder), pa.array(names))

        def plain() -> np.ndarray:
            with torch.inference_mode():
                return np.concatenate(
                    [network(Preprocessing().normalise(files[row][None])).numpy() for row in range(len(files))]
                )

        def ours(precision: str) -> np.ndarray:
            return extract_descriptors(network, files, Extraction(precision=precision, device="cpu", num_workers=0))

        ways = {"plain": plain, "fp32": lambda: ours("fp32"), "bf16": lambda: ours("bf16")}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        found: dict[str, np.ndarray] = {}
        for turn in range(options.turns):
            for name in list(ways)[:: 1 if turn % 2 else -1]:  # what goes first is another one each time
                layout = torch.contiguous_format if name == "plain" else torch.channels_last
                network.to(memory_format=layout)
                began, processor = time.monotonic(), time.process_time()
                found[name] = ways[name]()
                taken[name].append((time.monotonic() - began, time.process_time() - processor))
                note(f"{name}: {options.images / taken[name][-1][0]:.1f} images/s")
    # Other work can only add to a time, so the least of several turns says most.
    least = {name: [min(times) for times in zip(*turns, strict=True)] for name, turns in taken.items()}
    rows = []
    for name, own in least.items():
        away = float(np.abs(found[name] - found["plain"]).max())
        shares = [f"{plainly / ours:.2f}" for plainly, ours in zip(least["plain"], own, strict=True)]
        rows.append((name, f"{options.images / own[0]:.1f}", *shares, f"{away:.1e}"))
    threads = f"{options.backbone}, {torch.get_num_threads()} threads"
    return table((threads, "images/s", "times as fast", "by processor time", "largest difference of a number"), rows)


def localize(options: argparse.Namespace) -> str:
    """Look photos up in 100,000 images, after loading."""
    from PIL import Image

    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work, rows = Path(name), []
        write_database(work, 100_000)
        photo = work / "photo.jpg"
        Image.effect_noise((4000, 3000), 60).convert("RGB").save(photo)
        for backbone in ("ResNet18", "ResNet50"):
            began = time.monotonic()
            localizer = load_localizer(work, backbone)
            loading = time.monotonic() - began
            times = []
            for _ in range(5):
                began = time.monotonic()
                localizer.localize([photo])
                times.append(time.monotonic() - began)
            rows.append((backbone, as_seconds(loading), as_seconds(times[0]), as_seconds(sorted(times)[2])))
    titles = ("100,000 images of 512 numbers", "loading", "first photo of 4000 x 3000", "median of five")
    return table(titles, rows)


def main() -> None:
    """Run one of the benchmarks, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in (("search", search), ("extract", extract), ("localize", localize), ("index", index)):
        command = commands.add_parser(name, help=run.__doc__)
        command.set_defaults(run=run)
        if name != "extract":
            command.add_argument("work", type=Path)
        if name == "search":
            command.add_argument("--millions", type=float, default=2.8)
        if name == "index":
            command.add_argument("--millions", type=float, default=0.5)
        if name == "extract":
            command.add_argument("--backbone", default="ResNet18")
            command.add_argument("--images", type=int, default=64)
            command.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}\n\n{options.run(options)}")


if __name__ == "__main__":
    main()
