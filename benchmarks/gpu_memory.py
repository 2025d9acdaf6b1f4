"""GPU memory of training, estimated without a GPU: fake tensors, counted by torch's memory tracker.

    python benchmarks/gpu_memory.py

Counted are weights, gradients, what optimizers remember, activations and their temporaries, of the trainer's own step.
Left out are: what CUDA and cuDNN take for themselves (0.3 to 0.6 GB), workspaces of convolutions, what the allocator
keeps beyond what is in use, the next batch when it is copied ahead, and augmentation on the device
(`--augmentation-device cuda`: about 8 times a batch as floats).
"""

import torch
from measure import machine, table
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from training.data.groups import Group
from training.loop.state import TrainingState
from training.loop.step import TrainStep
from training.network.settings import NetworkSettings
from training.settings import TrainingSettings

BATCH, PIXELS, CLASSES = 32, 512, 35_000
DEVICE = torch.device("cpu")  # of the fake tensors: their sizes are the same on a GPU


def make_fake(module: nn.Module, mode: FakeTensorMode) -> None:
    """Put tensors without contents in the place of a module's own."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            fake = mode.from_tensor(value.detach())
            if value.requires_grad:
                setattr(part, name, nn.Parameter(fake))
            else:  # the tracker knows no frozen parameters; a buffer takes the same room
                delattr(part, name)
                part.register_buffer(name, fake)
        for name, value in list(part.named_buffers(recurse=False)):
            setattr(part, name, mode.from_tensor(value))


def peak_bytes(backbone: str, fc_output_dim: int, precision: str) -> int:
    """Return the most bytes in use during two steps of training."""
    network = NetworkSettings(backbone, fc_output_dim, backbone_weights="none")
    state = TrainingState.start({}, [Group(0, CLASSES, 700_000)], network, TrainingSettings(), DEVICE)
    group = state.classifiers[0]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for module in (state.network.train(), group.classifier):
            make_fake(module, mode)
        trained = [parameter for parameter in state.network.parameters() if parameter.requires_grad]
        state.optimizer = torch.optim.Adam(trained, lr=1e-5, fused=True)
        group.optimizer = torch.optim.Adam(group.classifier.parameters(), lr=0.01, fused=True)
        step = TrainStep(state, group, precision, compiled=False)
        tracker = MemTracker()
        tracker.track_external(state.network, group.classifier, state.optimizer, group.optimizer)
        images, class_indices = torch.zeros(BATCH, 3, PIXELS, PIXELS, dtype=torch.uint8), torch.zeros(BATCH).long()
        with tracker:
            for _ in range(2):
                step(images, class_indices)
                tracker.reset_mod_stats()
        return int(tracker.get_tracker_snapshot("peak")[DEVICE]["Total"])


def main() -> None:
    """Estimate, and print the table."""
    print(f"{machine()} torch {torch.__version__}; batch {BATCH}, {PIXELS} pixels, {CLASSES:,} classes.\n")
    rows = []
    for backbone, fc_output_dim in (("ResNet18", 512), ("ResNet50", 2048)):
        for precision in ("fp32", "bf16"):
            peak = peak_bytes(backbone, fc_output_dim, precision)
            rows.append((f"{backbone}-{fc_output_dim}", precision, f"{peak / 1e9:.2f} GB"))
    print(table(("network", "precision", "peak, estimated"), rows))


if __name__ == "__main__":
    main()
