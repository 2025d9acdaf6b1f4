"""Settings of methods of others. Imports no torch."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from data_manifest.errors import UserError
from data_manifest.images.image_size import ImageSize
from data_manifest.settings import Settings, setting
from methods.entry import entry_of_file, entry_of_hub
from methods.named_methods import checked_name

FLAGS = ("method", "hub", "method_module")  # each names a method
METHOD_INPUTS = ("trust_repo", "input_size", "input_multiple")


@dataclass(frozen=True)
class MethodSettings(Settings):
    """A method of others in place of a model."""

    title = "Method"

    method: str | None = setting(
        None, "published method, such as MegaLoc; `cosplace methods` lists them", form=checked_name
    )
    hub: str | None = setting(
        None,
        "torch.hub model, as REPO:ENTRY; arguments follow, as in REPO:ENTRY(name=value,...); REPO is a GitHub "
        "owner/name or a folder with hubconf.py",
    )
    method_module: str | None = setting(
        None, "own network, as FILE.py:FUNCTION; the function returns a torch.nn.Module"
    )
    trust_repo: bool = setting(False, "run the code of the method's repository")
    input_size: ImageSize | None = setting(
        None, "resize images for a method to this size, as in 322 or 480x640; none: as published, or own size"
    )
    input_multiple: int | None = setting(
        None, "round the sides of images for a method to multiples of so many pixels; none: as published, or 1"
    )

    def check(self) -> None:
        """Raise UserError for two methods, and for invalid names and sizes."""
        given = [f"{name} = {getattr(self, name)}" for name in FLAGS if getattr(self, name) is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)}: give only one of the two.")
        if self.hub is not None:
            entry_of_hub(self.hub)
        if self.method_module is not None:
            entry_of_file(self.method_module)
        if self.input_size is not None and min(self.input_size.height, self.input_size.width) < 1:
            raise UserError(f"input_size = {self.input_size}: must be at least 1 pixel")
        if self.input_multiple is not None and self.input_multiple < 1:
            raise UserError(f"input_multiple = {self.input_multiple}: must be at least 1 pixel")

    @property
    def inputs(self) -> Self:
        """The settings without the method itself."""
        return dataclasses.replace(self, method=None, hub=None, method_module=None)

    @property
    def reference(self) -> str | None:
        """The method, as --model accepts it too; None if none is given."""
        return next((value for name in FLAGS if (value := getattr(self, name)) is not None), None)
