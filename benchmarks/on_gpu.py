"""Training and extraction on the GPU at hand, against plain loops in the same run; Markdown tables on stdout.

    python benchmarks/on_gpu.py                     # under 8 minutes
    python benchmarks/on_gpu.py --device cpu --tiny # checks the script without a GPU

Rows are measured in the order of their importance, until the time is up. `fp32` computes in full 32 bits, `tf32` with
the shorter TF32 numbers; torch's default, and so that of training, is TF32 in convolutions only.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products, for the resumed training

import pyarrow as pa
import torch
from gpu_workload import (
    CLASSES,
    PlainPhotos,
    PlainStep,
    Sizes,
    plain_augmentation,
    plain_batches,
    write_groups,
    write_photos,
)
from measure import machine, note, table

from evaluation.descriptors.extract import extract_descriptors
from evaluation.descriptors.image_dataset import ImageDataset
from evaluation.settings import Extraction
from training.data.augmentation import Augmentation
from training.data.dataset import GroupDataset
from training.data.groups import Group, read_members
from training.data.loading import augments_in_batches
from training.data.sampling import EpochPlan
from training.data.settings import AugmentationSettings
from training.data.skipped import SkippedLog
from training.loop.checkpoints import load_checkpoint
from training.loop.epoch import train_iterations
from training.loop.state import TrainingState
from training.loop.step import TrainStep
from training.loop.trainer import train
from training.network.model import GeoLocalizationNet
from training.network.preprocessing import Preprocessing
from training.network.settings import RANDOM, NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings

FULL = Sizes(pixels=512, batch=32, steps=30, warm_up=3, photos=1024, classes=35_000, workers=(16, 8, 4))
TINY = Sizes(pixels=32, batch=4, steps=1, warm_up=1, photos=CLASSES, classes=100, workers=(1,))
RESNET18, RESNET50, DINOV2 = (
    NetworkSettings(backbone, fc_output_dim, backbone_weights=RANDOM)
    for backbone, fc_output_dim in (("ResNet18", 512), ("ResNet50", 2048), ("timm/vit_base_patch14_dinov2", 768))
)
LARGER = ((RESNET50, False), (RESNET18, True), (DINOV2, False), (RESNET50, True))  # and whether it is compiled
Row = tuple[str, ...]


class Run:
    """One run of the benchmark: its device, sizes and deadline, and whether a row failed."""

    def __init__(self, device: str, sizes: Sizes, minutes: float, folder: Path) -> None:
        self.device, self.sizes, self.folder = torch.device(device), sizes, folder
        self.on_gpu, self.deadline = self.device.type == "cuda", time.monotonic() + 60 * minutes
        self.failed = False
        self.paths = write_photos(folder / "photos", sizes)
        write_groups(folder / "groups", self.paths)

    def row(self, name: str, work: Callable[[], Row]) -> Row:
        """Return a row of a table: a name and what the work returns, or why there is nothing."""
        note(name)
        if time.monotonic() > self.deadline:
            return name, "not measured: the time was up"
        self.free()
        try:
            return name, *work()
        except Exception as error:  # so that the other rows are not lost
            self.failed = True
            return name, f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"

    def free(self) -> None:
        """Forget compiled networks, free the GPU's memory, and start counting its peak."""
        torch._dynamo.reset()
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        """Wait until the GPU has done all that it was given."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def memory(self) -> Row:
        """Return the peak of the memory that tensors took, and what the whole GPU has in use, as nvidia-smi shows."""
        if not self.on_gpu:
            return "", ""
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB", f"{(total - free) / 1e9:.2f} GB"

    def seconds(self, step: Callable[[], object]) -> float:
        """Return the mean seconds of a step."""
        for _ in range(self.sizes.warm_up):
            step()
        self.wait()
        began = time.perf_counter()
        for _ in range(self.sizes.steps):
            step()
        self.wait()
        return (time.perf_counter() - began) / self.sizes.steps

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images [b, 3, h, w], uint8, and classes [b], on the device."""
        shape = self.sizes.batch, 3, self.sizes.pixels, self.sizes.pixels
        return torch.randint(0, 256, shape, dtype=torch.uint8).to(self.device), torch.arange(shape[0]).to(self.device)

    def state(self, network: NetworkSettings, training: TrainingSettings, classes: int) -> TrainingState:
        """Return a training before its first step."""
        size = AugmentationSettings(self.input_pixels(network)).size
        state = TrainingState.start({}, [Group(0, classes, classes)], network, training, self.device, size)
        state.network.train()
        state.classifiers[0].to(self.device)
        return state

    def input_pixels(self, network: NetworkSettings) -> int:
        """Return the side of the network's input: for a patch of 14 pixels, the multiple below."""
        return self.sizes.pixels // 14 * 14 if "patch14" in network.backbone else self.sizes.pixels


def use_tf32(used: bool) -> None:
    """Compute products of 32-bit numbers in TF32, or in full."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = used


def plain_step(run: Run, network: NetworkSettings, fp16: bool) -> PlainStep:
    """Return the plain loop's step for a network."""
    built = GeoLocalizationNet(network.backbone, network.fc_output_dim)
    return PlainStep(built, run.sizes, network.fc_output_dim, run.device, fp16)


def steps(run: Run, network: NetworkSettings, compiled: bool) -> list[Row]:
    """Measure the trainer's step on images that are on the device, in each precision."""
    name, compare = network.backbone.rpartition("/")[2], 0.0

    def plain(fp16: bool) -> Row:
        nonlocal compare
        use_tf32(False)
        images, classes = run.batch()
        normalised, step = Preprocessing().normalise(images), plain_step(run, network, fp16)
        speed = run.sizes.batch / run.seconds(lambda: step(normalised, classes))
        compare = compare or speed
        return shown(speed)

    def ours(precision: str) -> Row:
        use_tf32(precision == "tf32")
        used = "fp32" if precision == "tf32" else precision
        sizes = dataclasses.replace(run.sizes, pixels=run.input_pixels(network))
        state = run.state(network, TrainingSettings(precision=used), sizes.classes)
        step, (images, classes) = TrainStep(state, state.classifiers[0], used, compiled), run.batch()
        images = images[..., : sizes.pixels, : sizes.pixels]
        return shown(sizes.batch / run.seconds(lambda: step(images, classes)))

    def shown(speed: float) -> Row:
        return f"{speed:.1f}", f"{speed / compare:.2f}" if compare else "", *run.memory()

    rows = []
    if not compiled and "/" not in network.backbone:
        rows = [run.row(f"{name}, plain loop, {p}", lambda p=p: plain(p == "fp16")) for p in ("fp32", "fp16")]
    words = ", compiled" if compiled else ""
    return rows + [run.row(f"{name}, {p}{words}", lambda p=p: ours(p)) for p in ("fp32", "tf32", "bf16", "fp16")]


def from_files(run: Run) -> list[Row]:
    """Measure training from JPEG files: ResNet18 in bf16, and the plain loop in fp16."""
    use_tf32(True)
    iterations = run.sizes.warm_up + 2 * max(run.sizes.workers) + 2 * run.sizes.steps  # past the batches loaded ahead

    def plain(workers: int) -> Row:
        step, augment = plain_step(run, RESNET18, fp16=run.on_gpu), plain_augmentation(run.sizes)
        photos = PlainPhotos(run.folder / "photos", run.paths, iterations * run.sizes.batch)
        classes = torch.arange(run.sizes.batch, device=run.device)
        began, waited = 0.0, 0.0
        for number, (images, seconds) in enumerate(plain_batches(photos, run.sizes, run.device, workers)):
            if number == iterations // 2:
                run.wait()
                began, waited = time.perf_counter(), 0.0
            step(augment(images), classes)
            waited += seconds
        run.wait()
        return shown(time.perf_counter() - began, waited, iterations - iterations // 2)

    def ours(workers: int, augmentation_device: str) -> Row:
        training = TrainingSettings(precision="bf16", batch_size=run.sizes.batch, iterations_per_epoch=iterations)
        runtime = RuntimeSettings(run.device.type, workers, augmentation_device=augmentation_device)
        state = run.state(RESNET18, training, CLASSES)
        augment = Augmentation(AugmentationSettings(run.sizes.pixels))
        dataset = GroupDataset(
            run.folder / "photos",
            read_members(run.folder / "groups", 0, run.folder),
            EpochPlan.of(training, CLASSES, 0),
            augment,
            augments_in_batches(runtime, run.device),
        )
        skipped, half = SkippedLog(run.folder, 0.0), (0.0, 0.0)
        for _ in train_iterations(state, state.classifiers[0], dataset, run.device, training, runtime, skipped):
            if state.epoch_state.iterations == iterations // 2:
                run.wait()
                half = time.perf_counter(), state.epoch_state.wait_seconds
        run.wait()
        done = iterations - iterations // 2
        return shown(time.perf_counter() - half[0], state.epoch_state.wait_seconds - half[1], done)

    def shown(seconds: float, waited: float, done: int) -> Row:
        return f"{done * run.sizes.batch / seconds:.1f}", f"{100 * waited / seconds:.0f} %"

    devices = ("cpu", "cuda") if run.on_gpu else ("cpu",)
    rows = [run.row(f"plain loop, {run.sizes.workers[0]} workers", lambda: plain(run.sizes.workers[0]))]
    for workers in run.sizes.workers:
        for where in devices:
            name = f"{workers} workers, augmentation on {'the GPU' if where == 'cuda' else 'the CPU'}"
            rows.append(run.row(name, lambda workers=workers, where=where: ours(workers, where)))
    return rows


def extraction(run: Run) -> list[Row]:
    """Measure the extraction of descriptors with ResNet18."""
    use_tf32(True)
    workers, folder = run.sizes.workers[0], run.folder / "photos"

    def plain() -> Row:
        network = GeoLocalizationNet(RESNET18.backbone, RESNET18.fc_output_dim).to(run.device).eval()
        photos = PlainPhotos(folder, run.paths, len(run.paths))
        began = time.perf_counter()
        with torch.inference_mode():
            for images, _ in plain_batches(photos, run.sizes, run.device, workers):
                network(Preprocessing().normalise(255 * images)).cpu()
        return (f"{len(run.paths) / (time.perf_counter() - began):.1f}",)

    def ours(precision: str) -> Row:
        network = GeoLocalizationNet(RESNET18.backbone, RESNET18.fc_output_dim).eval()
        files = ImageDataset(folder, pa.array(run.paths))
        chosen = Extraction(None, precision, run.sizes.batch, run.device.type, workers)
        began = time.perf_counter()
        extract_descriptors(network, files, chosen)
        return (f"{len(run.paths) / (time.perf_counter() - began):.1f}",)

    return [run.row("plain loop, fp32", plain), *(run.row(p, lambda p=p: ours(p)) for p in ("fp32", "bf16"))]


def resumed(run: Run) -> list[Row]:
    """Train with deterministic algorithms, once in one piece and once interrupted, and compare all weights."""

    def once(folder: Path, precision: str, iterations: int, stop_at: int | None = None) -> None:
        def interrupt(percentage: int) -> None:
            if stop_at is not None and percentage >= stop_at:
                raise InterruptedError

        train(
            run.folder / "groups",
            run.folder / "photos",
            folder,
            network=RESNET18,
            augmentation=AugmentationSettings(run.sizes.pixels),
            training=TrainingSettings(
                groups_num=1,
                batch_size=run.sizes.batch,
                epochs_num=1,
                iterations_per_epoch=iterations,
                precision=precision,
            ),
            runtime=RuntimeSettings(run.device.type, run.sizes.workers[0], checkpoint_iterations=1),
            validate=lambda network: {1: 50.0},
            on_percentage=interrupt,
        )

    def compare(precision: str) -> Row:
        iterations, folder = 4 + 2 * run.sizes.steps // 10, Path(tempfile.mkdtemp(dir=run.folder))
        once(folder / "whole", precision, iterations)
        try:
            once(folder / "resumed", precision, iterations, stop_at=50)
        except InterruptedError:
            once(folder / "resumed", precision, iterations)
        whole, other = (weights_of(folder / name) for name in ("whole", "resumed"))
        difference = max(float((whole[name] - other[name]).abs().max()) for name in whole)
        return str(iterations), "equal" if difference == 0 else f"{difference:.1e}"

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = [
                run.row(precision, lambda precision=precision: compare(precision)) for precision in ("fp32", "bf16")
            ]
        for text in sorted(
            {str(each.message).partition("\n")[0] for each in caught if "determinis" in str(each.message)}
        ):
            note(text)
        return rows
    finally:
        torch.use_deterministic_algorithms(False)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of the network and the classifier in a run's last checkpoint."""
    checkpoint: dict[str, Any] = load_checkpoint(folder) or {}
    assert checkpoint["epoch"] == 1, folder
    weights = {**checkpoint["network"], **checkpoint["classifiers"][0]["classifier"]}
    return {name: value.double().cpu() for name, value in weights.items()}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, and return 0; 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to check the script [%(default)s]")
    parser.add_argument("--minutes", type=float, default=7.5, help="no row starts after these [%(default)s]")
    parser.add_argument("--tiny", action="store_true", help="one step on small images, to check the script")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU. Pass --device cpu --tiny to check the script without one.")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options.device, TINY if options.tiny else FULL, options.minutes, Path(folder))
        card = torch.cuda.get_device_name() if run.on_gpu else "no GPU"
        print(f"{machine()} torch {torch.__version__}, {card}; batch {run.sizes.batch}, {run.sizes.pixels} pixels.\n")
        titles = ("one step, images on the device", "images/s", "times the plain loop", "peak of tensors", "GPU in use")
        print_table(titles, steps(run, RESNET18, compiled=False))
        print_table(("training from files, ResNet18", "images/s", "waiting for data"), from_files(run))
        print_table(("extraction, ResNet18", "images/s"), extraction(run))
        print_table(("interrupted and resumed, ResNet18", "iterations", "largest difference"), resumed(run))
        for network, compiled in () if options.tiny else LARGER:
            print_table(titles, steps(run, network, compiled))
    return int(run.failed)


def print_table(titles: Row, rows: list[Row]) -> None:
    """Print a table now, so that an interrupted run keeps it; short rows are filled up."""
    print(table(titles, [(*row, *[""] * (len(titles) - len(row))) for row in rows]), end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
