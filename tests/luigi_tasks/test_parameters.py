"""Names, defaults and equal values of the tasks' parameters."""

from typing import Any

import pytest

from data_manifest.errors import UserError
from training.data.settings import AugmentationSettings


def test_parameters_have_published_names_and_defaults() -> None:
    import workflows

    published = {
        **{"M": 10, "alpha": 30, "N": 5, "L": 2, "groups_num": 8, "min_images_per_class": 10, "backbone": "ResNet18"},
        **{"fc_output_dim": 512, "train_all_layers": False, "batch_size": 32, "epochs_num": 50, "lr": 1e-5, "seed": 0},
        **{"iterations_per_epoch": 10_000, "classifiers_lr": 0.01, "brightness": 0.7, "hue": 0.5},
        **{"contrast": 0.7, "saturation": 0.7, "random_resized_crop": 0.5, "infer_batch_size": 16, "num_workers": 8},
        **{"positive_dist_threshold": 25, "resize_test_imgs": False, "use_amp16": False, "resume_model": None},
        **{"device": "auto"},
    }
    task = workflows.TrainCosPlace()
    assert {name: getattr(task, name) for name in published} == published
    assert str(task.settings(AugmentationSettings).size) == "512"


def test_equal_values_give_one_task() -> None:
    import workflows

    task: Any = workflows.BuildGroups
    assert task(M=10, N="5").task_id == task(M="10.0", N=5.0).task_id
    assert task(years="2015,2013-2014").task_id == task(years="2013-2015").task_id != task().task_id


def test_sharded_classifier_is_the_same_task_and_refused_before_others_run() -> None:
    import workflows

    task = workflows.TrainCosPlace(shard_classifier=True, num_processes=1)
    assert task.task_id == workflows.TrainCosPlace().task_id
    with pytest.raises(UserError, match="shard_classifier = True: a single process has all classes; give --num-proc"):
        task.requires()
