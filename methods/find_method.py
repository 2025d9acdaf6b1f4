"""Methods of others as models: found by name, torch.hub entry or file, and identified for recipes."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from data_manifest.errors import UserError
from data_manifest.progress import working
from data_manifest.store.recipe import digest_of
from evaluation.descriptors.trained_model import TrainedModel, find_model
from evaluation.recipe import ModelDigests
from methods.entry import Entry, entry_of
from methods.records import Identity, file_states, read_record, write_record
from methods.settings import MethodSettings

if TYPE_CHECKING:
    from methods.method_network import MethodNetwork


@dataclass(frozen=True, kw_only=True)
class Method(TrainedModel):
    """A method of others in place of a trained model; `path` is its repository or file."""

    entry: Entry
    settings: MethodSettings
    identity: Identity
    loaded: "MethodNetwork | None" = None

    @cached_property
    def digests(self) -> ModelDigests:
        """Digests of code and weights, and how the method is loaded."""
        identity = self.identity
        method = {**self.entry.stated, "preprocessing": identity.preprocessing}
        digest = digest_of([identity.code, identity.weights])
        return ModelDigests(digest, identity.weights, self.backbone, self.fc_output_dim, method)

    @cached_property
    def network(self) -> "MethodNetwork":  # type: ignore[override]  # extraction takes any network
        """The network, loaded on first use.

        Raises:
            UserError: It cannot be loaded, or has changed since this command started.
        """
        if self.loaded is not None:
            return self.loaded
        network, identity = load_method(self.entry, self.settings)
        if identity != self.identity:
            raise UserError(f"{self.entry}: its code or weights changed after this command started. Run it again.")
        return network

    def without_network(self) -> "Method":
        """Return the method for another process, which loads the network itself."""
        return dataclasses.replace(self, loaded=None)


def find(given: str, settings: MethodSettings) -> TrainedModel:
    """Return the model that a text means: a method's name, REPO:ENTRY, FILE.py:FUNCTION, or one of `find_model`.

    A repository of GitHub that has not changed since it was last loaded is loaded only when its network is used.

    Raises:
        UserError: There is no such model, it cannot be loaded, or it is code of a repository that is not trusted.
    """
    entry = entry_of(given)
    if entry is None:
        with working("loading the model"):
            return find_model(given)
    if not (entry.is_file or settings.trust_repo):
        raise UserError(f"{given} runs code of others: {entry}. Pass --trust-repo if you trust this repository.")
    network, identity = None, read_record(entry, settings)
    if identity is None:
        network, identity = load_method(entry, settings)
    return Method(
        Path(entry.source),
        entry.shown,
        identity.dimensions,
        entry=entry,
        settings=settings,
        identity=identity,
        loaded=network,
    )


def load_method(entry: Entry, settings: MethodSettings) -> "tuple[MethodNetwork, Identity]":
    """Return the network of a method, and what identifies it, which is recorded.

    Raises:
        UserError: It cannot be loaded, or fails on an image.
    """
    with working("loading PyTorch"):
        from methods.load_entry import load_entry
        from methods.method_network import digest_of_weights, wrap

    with working(f"loading {entry.shown}"):
        states = file_states(entry)
        module, code = load_entry(entry)
        network = wrap(module, entry, settings)
        identity = Identity(code, digest_of_weights(module), network.find_dimensions(), network.stated())
        write_record(entry, settings, identity, states)
    return network, identity
