"""ONNX exports against torch: largest difference of a component, and speed.

    python benchmarks/export_parity.py PHOTOS

Networks have random weights; photos are in the size of the training images (see BACKBONES), every second one in half.
"""

import argparse
import tempfile
import time
from pathlib import Path

from measure import machine, table

from data_manifest.images.image_size import ImageSize
from export.onnx_file import write_onnx
from export.parity import check_parity
from export.settings import UINT8
from training.network.settings import RANDOM, NetworkSettings
from training.network.weights import build_network

BACKBONES = {  # and pixels
    "ResNet18": 512,
    "ResNet50": 512,
    "timm/resnet18": 512,
    "timm/convnext_atto": 512,
    "timm/mobilenetv4_conv_small": 512,
    "timm/vit_small_patch14_reg4_dinov2": 518,
    "timm/vit_small_patch16_dinov3": 512,
}


def main() -> None:
    """Export each network, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder with at least 8 photos")
    photos, rows = parser.parse_args().photos, []
    for backbone, pixels in BACKBONES.items():
        settings = NetworkSettings(backbone, 512, backbone_weights=RANDOM)
        network = build_network(settings, image_size=ImageSize(pixels, pixels)).eval()
        with tempfile.TemporaryDirectory() as folder:
            began, file = time.perf_counter(), Path(folder, "model.onnx")
            write_onnx(network, file, UINT8, {})
            seconds, size = time.perf_counter() - began, file.stat().st_size / 1e6
            parity = check_parity(network, file, photos, UINT8)
        speed = f"{parity.speedup:.2f}"
        rows.append((f"{backbone}-512", f"{parity.difference:.1e}", speed, f"{size:.0f} MB", f"{seconds:.0f} s"))
    print(f"{machine()}\n")
    print(table(("network", "largest difference", "onnxruntime, times torch's speed", "file", "export takes"), rows))


if __name__ == "__main__":
    main()
