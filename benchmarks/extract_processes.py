"""Images embedded per second by several processes, against a plain loop in one process.

    python benchmarks/extract_processes.py WORK
    python benchmarks/extract_processes.py WORK --processes 1 2 4 8 --images 20000 --num-workers 4

WORK is a folder for generated images and descriptors; they are removed in the end. Each number of processes embeds all
images twice; the second time counts, when the processes have started and loaded the network.
"""

import argparse
import contextlib
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from measure import machine, note, table
from PIL import Image

from evaluation.descriptors.build_descriptors import build_descriptors, open_descriptors
from evaluation.descriptors.chunks.process_setup import PRELOAD, check_processes, process_setup
from evaluation.descriptors.image_dataset import to_tensor
from evaluation.descriptors.image_list import ImageList
from evaluation.descriptors.trained_model import TrainedModel
from evaluation.settings import Extraction
from pipeline.execution.process_executor import ProcessExecutor
from pipeline.manifest.build_manifest import build_manifest
from training.network.device import resolve_device
from training.network.model import GeoLocalizationNet
from training.network.preprocessing import Preprocessing
from training.network.weights import save_network

SHAPES = {"512 x 512": ((512, 512),), "four sizes": ((640, 480), (480, 640), (512, 512), (600, 450))}
CHUNKS_PER_PROCESS = 8
DIM = 512
Result = TypeVar("Result")


def write_images(folder: Path, count: int, sizes: tuple[tuple[int, int], ...]) -> None:
    """Write smooth noise as JPEG files with SF-XL's names."""
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize(sizes[number % len(sizes)], Image.Resampling.BICUBIC)
        image.save(folder / f"@{500_000 + number}@4000000@10@S@@@{number:06}@@0@@@@2015@@.jpg")


def seconds(run: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that a function takes, and its result."""
    began = time.monotonic()
    result = run()
    return time.monotonic() - began, result


def plain_loop(model: TrainedModel, images: ImageList, device: str) -> np.ndarray:
    """Return the descriptors of images that one process opens and embeds one by one."""
    network, where = model.network.eval(), resolve_device(device)
    network.to(where)
    with torch.inference_mode():
        return np.concatenate(
            [
                network(Preprocessing().normalise(to_tensor(image.convert("RGB"))[None].to(where))).cpu().numpy()
                for image in map(Image.open, sorted(images.images_folder.iterdir()))
            ]
        )


def measure_shapes(options: argparse.Namespace, model: TrainedModel, work: Path, shapes: str) -> list[tuple[str, ...]]:
    """Return the rows of the table for images of these shapes."""
    folder = work / shapes.replace(" ", "-")
    write_images(folder, options.images, SHAPES[shapes])
    images = ImageList(build_manifest(folder, work / "A"), folder)
    extraction = Extraction(device=options.device, num_workers=options.num_workers)
    plain_seconds, plain = seconds(functools.partial(plain_loop, model, images, options.device))
    rows = [(shapes, "plain loop", f"{options.images / plain_seconds:.1f}", "1.00", "")]
    for count in options.processes:
        if count > 1:
            check_processes(options.device, count)
        chunk = max(1, options.images // count // CHUNKS_PER_PROCESS)
        several = ProcessExecutor(count, process_setup(options.device, count), *PRELOAD)
        with several if count > 1 else contextlib.nullcontext() as executor:
            for turn in ("start", "measured"):
                artifacts = work / f"{folder.name}-{count}-{turn}"
                inputs = (model, images, artifacts, extraction)
                build = functools.partial(build_descriptors, *inputs, executor=executor, chunk_images=chunk)
                took, folder_of_found = seconds(build)
        found = open_descriptors(folder_of_found)
        note(f"{shapes}, {count} processes: {options.images / took:.1f} images/s")
        away = f"{float(np.abs(found - plain).max()):.1e}"
        rows.append((shapes, str(count), f"{options.images / took:.1f}", f"{plain_seconds / took:.2f}", away))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--backbone", default="ResNet18")
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--num-workers", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        torch.manual_seed(0)
        save_network(GeoLocalizationNet(options.backbone, DIM), Path(name, "model.pth"))
        model = TrainedModel(Path(name, "model.pth"), options.backbone, DIM)
        rows = [row for shapes in SHAPES for row in measure_shapes(options, model, Path(name), shapes)]
    title = f"{options.backbone}, {options.images:,} images"
    titles = (title, "processes", "images/s", "times as fast", "largest difference of a number")
    print(f"{machine()}\n\n{table(titles, rows)}")


if __name__ == "__main__":
    main()
