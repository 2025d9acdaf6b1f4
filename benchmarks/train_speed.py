"""Images a second of training on the CPU, and the time of an image's augmentation, against a plain loop.

The plain loop is what one would write first: default memory format, default Adam, an image at a time augmented as
floats by torchvision. Ours is the trainer's own step and augmentation. ResNet18, 512 pixels, all in one run.

    python benchmarks/train_speed.py
"""

import statistics
import time
from collections.abc import Callable

import torch
from measure import machine, table
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.transforms import v2

from training.data.augmentation import Augmentation
from training.data.groups import Group
from training.data.settings import AugmentationSettings
from training.loop.state import TrainingState
from training.loop.step import TrainStep
from training.network.preprocessing import Preprocessing
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings

BATCH, STEPS, IMAGES = 4, 2, 15
NETWORK = NetworkSettings("ResNet18", 512, backbone_weights="none")
TRAINING = TrainingSettings(batch_size=BATCH)
CLASSES = torch.arange(BATCH)


def photo() -> Tensor:
    """Return an image of soft colours under noise: [3, 512, 512], uint8."""
    generator = torch.Generator().manual_seed(0)
    areas = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16, generator=generator), 512, mode="bicubic")[0]
    return (areas.clamp(0, 1) * 230 + 25 * torch.rand(3, 512, 512, generator=generator)).to(torch.uint8)


def new_state() -> TrainingState:
    """Return a network and a classifier of 1,000 classes before their first step."""
    state = TrainingState.start({}, [Group(0, 1000, 10_000)], NETWORK, TRAINING, torch.device("cpu"))
    state.network.train()
    return state


def seconds_of(work: Callable[[int], object], times: int) -> float:
    """Return the median time of some work, after a first time that does not count."""
    taken = []
    for turn in range(times + 1):
        began = time.perf_counter()
        work(turn)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def plain_steps(image: Tensor, change: v2.Transform) -> Callable[[int], object]:
    """Return the plain loop's iteration."""
    state = new_state()
    network, classifier = state.network.to(memory_format=torch.contiguous_format), state.classifiers[0].classifier
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizers = torch.optim.Adam(trained, lr=1e-5), torch.optim.Adam(classifier.parameters(), lr=0.01)

    def step(turn: int) -> None:
        images = torch.stack([change(image.float() / 255) for _ in range(BATCH)])
        loss = cross_entropy(classifier(network(Preprocessing().normalise(255 * images)), CLASSES), CLASSES)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    return step


def our_steps(image: Tensor, augmentation: Augmentation, precision: str) -> Callable[[int], object]:
    """Return the trainer's iteration."""
    state = new_state()
    step = TrainStep(state, state.classifiers[0], precision, compiled=False)
    return lambda turn: step(torch.stack([augmentation(image, BATCH * turn + n) for n in range(BATCH)]), CLASSES)


def main() -> None:
    """Measure, and print the two tables."""
    image, settings = photo(), AugmentationSettings()
    plain = v2.Compose([v2.ColorJitter(0.7, 0.7, 0.7, 0.5), v2.RandomResizedCrop((512, 512), scale=(0.5, 1.0))])
    ours = Augmentation(settings)
    print(f"{machine()} torch {torch.__version__}, {torch.get_num_threads()} threads.\n")
    before = seconds_of(plain_steps(image, plain), STEPS)
    rows = [("plain loop", f"{BATCH / before:.2f}", "1.00")]
    for precision in ("fp32", "bf16"):
        after = seconds_of(our_steps(image, ours, precision), STEPS)
        rows.append((f"ours, {precision}", f"{BATCH / after:.2f}", f"{before / after:.2f}"))
    print(table(("training, ResNet18 at 512 pixels", "images/s", "times the plain loop"), rows), end="\n\n")
    torch.set_num_threads(1)
    before = seconds_of(lambda turn: plain(image.float() / 255), IMAGES)
    as_bytes = seconds_of(lambda turn: plain(image), IMAGES)
    after = seconds_of(lambda turn: ours(image, turn), IMAGES)
    kinds = (("torchvision, floats", before), ("torchvision, bytes", as_bytes), ("ours", after))
    shown = [(name, f"{1000 * taken:.1f} ms", f"{taken / before:.2f}") for name, taken in kinds]
    print(table(("augmentation of an image, one thread", "time", "of the plain time"), shown))


if __name__ == "__main__":
    main()
