"""The commands of `cosplace`, in the order in which they are used."""

from dataclasses import dataclass

DATA = ("dataset_folder", "photos_folder", "source", "split", "artifacts_folder")
GROUPING = ("M", "alpha", "N", "L", "min_images_per_class", "years", "verified")
TRAINING = (
    *("backbone", "fc_output_dim", "resume_model", "image_size"),
    *("groups_num", "batch_size", "epochs_num", "iterations_per_epoch", "lr", "classifiers_lr", "precision", "seed"),
)
OPTIONAL = "?"
MACHINE = ("device", "num_workers")


@dataclass(frozen=True)
class TaskCommand:
    """A command that runs a Luigi task with the same flags."""

    help: str
    task: str
    everyday: tuple[str, ...]  # parameters that --help shows; --help-all shows all
    examples: tuple[str, ...]
    positionals: tuple[str, ...] = ()  # parameters given without a flag; those that end with OPTIONAL may be left out


@dataclass(frozen=True)
class FunctionCommand:
    """A command whose module fills an argument parser: `add_<command>(parser)`, with the function to run."""

    help: str
    module: str
    examples: tuple[str, ...]


COMMANDS: dict[str, TaskCommand | FunctionCommand] = {
    "demo": FunctionCommand(
        "run the whole pipeline on a small synthetic city, in a few minutes", "cosplace.demo.run_demo", ("", "my-demo")
    ),
    "config": FunctionCommand(
        "write a configuration file with every setting", "cosplace.write_config", ("luigi.cfg", "")
    ),
    "manifest": TaskCommand(
        "read positions and headings of images into a Parquet table",
        "BuildManifest",
        (
            "dataset_folder",
            "photos_folder",
            "source",
            "train_folder",
            "part",
            "table",
            "columns",
            "heading",
            "rescan",
            "lists_folder",
            "dask_scheduler",
            "artifacts_folder",
        ),
        ("--dataset-folder sf-xl/processed", "--photos-folder photos --source exif --part photos"),
    ),
    "verify": TaskCommand(
        "check which images can be read",
        "VerifyImages",
        (*DATA, "train_folder", "part", "check", "checksum", "expected_size", "dask_scheduler"),
        ("--dataset-folder sf-xl/processed", "--dataset-folder sf-xl/processed --check header --part val/database"),
    ),
    "crop": TaskCommand(
        "cut panoramas into crops",
        "CropPanoramas",
        (
            *("panoramas_folder", "output_folder", "source", "crops_num", "crop_size", "projection", "fov"),
            *("heading_of", "artifacts_folder", "dask_scheduler"),
        ),
        (
            "--panoramas-folder sf-xl/raw/train/panoramas --output-folder sf-xl/raw/train/database",
            "--panoramas-folder panoramas --output-folder crops --source exif --projection perspective",
        ),
    ),
    "split": TaskCommand(
        "split one folder of photos into training, validation and test sets",
        "SplitDataset",
        (
            *("photos_folder", "source", "table", "columns", "heading", "split", "block_m", "margin_m"),
            *("val_share", "test_share", "queries_share", "split_seed", "artifacts_folder"),
        ),
        ("--photos-folder photos --source exif --split area", "--photos-folder photos --source exif --split time"),
    ),
    "plan": FunctionCommand(
        "preview groupings without writing anything",
        "pipeline.__main__",
        ("sf-xl/raw/train/database", "sf-xl/raw/train/database --M 5 10 20 --min-images-per-class 5 10"),
    ),
    "advise": FunctionCommand(
        "check whether images suffice for training, and suggest settings",
        "pipeline.__main__",
        ("photos", "artifacts/manifest/photos --format json"),
    ),
    "groups": TaskCommand(
        "assign the training images to classes and groups",
        "BuildGroups",
        (*DATA, "train_folder", "table", *GROUPING, "dask_scheduler"),
        ("--dataset-folder sf-xl/processed", "--photos-folder photos --source exif --split area --M 15 --L 1"),
    ),
    "reads": FunctionCommand(
        "write which images a training will read, in order",
        "training.data.reads.command",
        (
            "artifacts/groups/sf-xl-processed-train --epochs 0:5",
            "artifacts/groups/sf-xl-processed-train --epochs 0:5 --output files.txt",
        ),
    ),
    "pack": TaskCommand(
        "pack the images of the groups into large files, for slow disks and buckets",
        "PackGroups",
        (
            *(*DATA, "train_folder", "groups_path", "groups_num", "groups", "jpeg_size", "quality", "shard_megabytes"),
            *("output_url", "dask_scheduler"),
        ),
        (
            "--dataset-folder sf-xl/processed --groups-num 8",
            "--dataset-folder s3://bucket/sf-xl/processed --groups-path artifacts/groups/sf-xl-processed-train",
        ),
    ),
    "train": TaskCommand(
        "train the network on the groups",
        "TrainCosPlace",
        (*DATA, *(name for name in GROUPING if name != "years"), *TRAINING, *MACHINE, "num_processes", "packs"),
        (
            "--dataset-folder sf-xl/processed --backbone ResNet50 --fc-output-dim 128",
            "--photos-folder photos --source exif --split area --epochs-num 5",
        ),
    ),
    "seeds": TaskCommand(
        "train once per seed, and report mean and standard deviation",
        "TrainSeeds",
        (*DATA, *GROUPING, *(name for name in TRAINING if name != "seed"), "seeds", *MACHINE),
        ("--dataset-folder sf-xl/processed --seeds 0,1,2", "--config luigi.cfg --seeds 0,1,2,3,4"),
    ),
    "embed": TaskCommand(
        "extract descriptors of a folder of images",
        "ExtractDescriptors",
        (
            *("source", "table", "columns", "trust_repo", "resize_test_imgs", "infer_batch_size", *MACHINE),
            *("num_processes", "dask_scheduler"),
            "artifacts_folder",
        ),
        ("artifacts/training/sf-xl-processed-train photos", "ResNet50-512 photos --source exif"),
        positionals=("model", "photos_folder"),
    ),
    "evaluate": TaskCommand(
        "compute the recalls of a model on test sets",
        "EvaluateCosPlace",
        (
            *("dataset_folder", "photos_folder", "test_folder", "test_queries", "test_sets", "test_sets_folder"),
            *("positive_dist_threshold", "positive_dist_unit", "resize_test_imgs", "infer_precision"),
            *("infer_batch_size", "index", "recall_values", "train_new", *MACHINE, "artifacts_folder"),
            *("method", "hub", "method_module", "trust_repo"),
        ),
        (
            "artifacts/training/sf-xl-processed-train",
            "ResNet50-512 --test-sets tokyo247,nordland,my/town --test-sets-folder vpr-datasets",
        ),
        positionals=("model?",),
    ),
    "report": TaskCommand(
        "write a page on the recalls, failures, training, data and groups",
        "WriteReport",
        (
            *("report_queries", "dataset_folder", "test_folder", "test_sets", "test_sets_folder", "method", "hub"),
            *("method_module", "trust_repo", "artifacts_folder"),
        ),
        ("artifacts/training/sf-xl-processed-train", "artifacts/evaluation/sf-xl-processed-test-queries_v1"),
        positionals=("model?",),
    ),
    "pairs": FunctionCommand(
        "write the matches of an evaluation as pairs of images for COLMAP and hloc",
        "evaluation.__main__",
        (
            "artifacts/evaluation/sf-xl-processed-test-queries_v1",
            "artifacts/evaluation/my-town-test-queries --k 10 --output pairs-10.txt",
        ),
    ),
    "export": TaskCommand(
        "write a model for other programs: ONNX, safetensors, torch, Hugging Face",
        "ExportModel",
        ("format", "onnx_input", "check_photos", "artifacts_folder"),
        ("artifacts/training/sf-xl-processed-train", "model.pth --format onnx --check-photos photos"),
        positionals=("model",),
    ),
    "localize": FunctionCommand(
        "show where photos were taken",
        "luigi_tasks.photos",
        (
            "--model artifacts/training/my-town-train --database photos/ where.jpg",
            "--model ResNet50-512 --database artifacts/evaluation/my-town-test-queries photo.jpg --format geojson",
        ),
    ),
    "serve": FunctionCommand(
        "serve a page and an HTTP API that show where photos were taken",
        "cosplace.serve_databases",
        (
            "--model artifacts/training/my-town-train --database photos/",
            "--model ResNet50-512 --database paris=photos/paris --database rome=photos/rome --port 8001",
        ),
    ),
    "methods": FunctionCommand(
        "list methods of others, to be evaluated like a model",
        "methods.list_methods",
        ("", "--format json"),
    ),
    "list": FunctionCommand("list all artifacts", "data_manifest.__main__", ("", "--format json")),
    "show": FunctionCommand(
        "summarize an artifact: images, rejects, classes, results of checks",
        "data_manifest.__main__",
        ("artifacts/manifest/sf-xl-processed-train", "artifacts/groups/sf-xl-processed-train --format json"),
    ),
    "rejects": FunctionCommand(
        "show which files were rejected, and why",
        "data_manifest.__main__",
        ("artifacts/manifest/sf-xl-processed-train", "artifacts/manifest/sf-xl-processed-train --path 37.70/photo.jpg"),
    ),
    "gc": FunctionCommand(
        "remove old artifacts that nothing needs", "data_manifest.__main__", ("--dry-run", "--keep-newest 2")
    ),
    "completion": FunctionCommand(
        "print completion code for a shell",
        "cosplace.completion",
        ("bash > ~/.local/share/bash-completion/completions/cosplace", "zsh > ~/.zfunc/_cosplace"),
    ),
}


TASKS = {name: command.task for name, command in COMMANDS.items() if isinstance(command, TaskCommand)}


def name_of_task(task: str) -> str:
    """Return the command that runs a Luigi task."""
    return {each: name for name, each in TASKS.items()}[task]
