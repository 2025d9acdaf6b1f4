import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_manifest.errors import UserError
from training.data.settings import AugmentationSettings
from training.network.backbones import BACKBONES
from training.network.settings import NetworkSettings
from training.settings import RuntimeSettings, TrainingSettings


def test_published_defaults() -> None:
    assert NetworkSettings() == NetworkSettings("ResNet18", 512, False, "imagenet", None)
    assert AugmentationSettings() == AugmentationSettings(None, 0.7, 0.7, 0.5, 0.7, 0.5)
    assert AugmentationSettings().as_dict() == AugmentationSettings(512).as_dict()
    assert AugmentationSettings().as_dict()["image_size"] == 512
    assert list(TrainingSettings().as_dict().values()) == [8, 32, 50, 10_000, 1e-5, 0.01, False, 0]
    assert RuntimeSettings() == RuntimeSettings("auto", 8)


def test_backbone_names() -> None:
    resnets = ["ResNet18", "ResNet50", "ResNet101", "ResNet152"]
    efficientnets = [f"EfficientNet_B{size}" for size in range(8)]
    others = ["SqueezeNet1_0", "SqueezeNet1_1", "ConvNeXt_Tiny", "MobileNet_V3_Large"]
    assert list(BACKBONES) == ["VGG16", *resnets, *efficientnets, *others]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (NetworkSettings, {"backbone": "ResNet19"}),
        (NetworkSettings, {"fc_output_dim": 0}),
        (NetworkSettings, {"train_blocks": -1}),
        (NetworkSettings, {"backbone_weights": ""}),
        (AugmentationSettings, {"image_size": 0}),
        (AugmentationSettings, {"brightness": -0.1}),
        (AugmentationSettings, {"hue": 0.6}),
        (AugmentationSettings, {"random_resized_crop": -0.1}),
        (AugmentationSettings, {"random_resized_crop": 1.1}),
        (TrainingSettings, {"batch_size": 0}),
        (TrainingSettings, {"epochs_num": -1}),
        (TrainingSettings, {"seed": -2}),
        (TrainingSettings, {"lr": 0.0}),
        (TrainingSettings, {"lr": "nan"}),
        (RuntimeSettings, {"device": "gpu"}),
        (RuntimeSettings, {"num_workers": -1}),
        (RuntimeSettings, {"augmentation_device": "gpu"}),
        (RuntimeSettings, {"max_skipped_share": 1.5}),
        (TrainingSettings, {"precision": "fp8"}),
    ],
)
def test_invalid_value_error_names_field_and_value(kind: Any, values: dict[str, Any]) -> None:
    ((name, value),) = values.items()
    with pytest.raises(UserError, match=rf"{name} = '?{value}'?: "):
        kind(**values)


def test_backbones_are_named_in_any_case_or_by_timm() -> None:
    assert NetworkSettings("resnet50") == NetworkSettings("ResNet50")
    assert NetworkSettings("TIMM/convnext_tiny").backbone == "timm/convnext_tiny"
    with pytest.raises(UserError, match=r"ResNet5'?: closest: ResNet50, .*, or timm/<name>"):
        NetworkSettings("ResNet5")
    with pytest.raises(UserError, match="train_blocks = 2: but train_all_layers is set"):
        NetworkSettings(train_blocks=2, train_all_layers=True)
    assert "train_blocks" not in NetworkSettings().as_dict()


def test_groups_are_normalised_in_order() -> None:
    assert TrainingSettings(groups=" 7, 0,012 ") == TrainingSettings(groups="7,0,12")
    assert TrainingSettings(groups="7,0,12").group_indices == (7, 0, 12)
    assert TrainingSettings(groups="").group_indices is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"groups": "0,7,00"}, "groups = '0,7,00': 0 is repeated"),
        ({"groups": "0,-1"}, "groups = '0,-1': expected numbers separated by commas, as in 0,7,12"),
        ({"groups": "0;1"}, "groups = '0;1': expected numbers separated by commas, as in 0,7,12"),
        ({"groups": "1,,2"}, "groups = '1,,2': expected numbers separated by commas, as in 0,7,12"),
        (
            {"groups": "0,7,12", "groups_num": 4},
            "groups_num = 4: but groups = 0,7,12 names 3; give only one of the two",
        ),
    ],
)
def test_invalid_groups_are_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        TrainingSettings(**values)
    assert str(error.value) == message


def test_settings_import_no_torch() -> None:
    code = "import sys, training.settings, training.data.settings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_warns_of_frozen_random_layers(caplog: pytest.LogCaptureFixture) -> None:
    for settings in (
        NetworkSettings(backbone_weights="none", train_all_layers=True),
        NetworkSettings(backbone_weights="none", resume_model=Path("model.pth")),
        NetworkSettings(),
    ):
        settings.warn_if_unwise()
    assert not caplog.records
    NetworkSettings(backbone_weights="none").warn_if_unwise()
    assert "early layers stay random" in caplog.text


def test_use_amp16_means_precision_fp16() -> None:
    by_old_name = TrainingSettings(use_amp16=True)
    assert by_old_name.used_precision == TrainingSettings(precision="fp16").used_precision == "fp16"
    assert by_old_name.as_dict() == TrainingSettings(precision="fp16").as_dict()
    assert TrainingSettings().as_dict() == TrainingSettings(precision="fp32").as_dict()
    assert "precision" not in TrainingSettings().as_dict(), "earlier models keep their digests"
    assert TrainingSettings(precision="bf16").as_dict().items() >= {"precision": "bf16", "use_amp16": False}.items()
    TrainingSettings(use_amp16=True, precision="fp16")
    for other in ("fp32", "bf16"):
        with pytest.raises(UserError, match=f"precision = {other}: but use_amp16 is set, which means fp16"):
            TrainingSettings(use_amp16=True, precision=other)


def test_batch_augmentation_needs_a_gpu() -> None:
    with pytest.raises(UserError, match="augmentation_device = cuda: with device = cpu"):
        RuntimeSettings(device="cpu", augmentation_device="cuda")
