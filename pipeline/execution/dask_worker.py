"""What runs on a Dask worker: `run_on_worker` compares the code, runs a job, and adds the host to its errors."""

import functools
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from data_manifest.errors import UserError

PACKAGES = ("data_manifest", "pipeline", "training", "evaluation", "methods")
SHARE_FOLDERS = "all machines of the cluster must see the shared folders under the same paths"
Job = TypeVar("Job")
Result = TypeVar("Result")


@functools.cache  # computed at the first job: later changes of the files do not affect what is imported
def code_digest() -> str:
    """Return a digest of the source code that jobs run."""
    content, root = hashlib.sha256(), Path(__file__).parents[2]
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        content.update(b"%b\0%b\0" % (file.relative_to(root).as_posix().encode(), file.read_bytes()))
    return content.hexdigest()[:16]


def run_on_worker(work: Callable[[Job], Result], sender_code: str, job: Job) -> Result:
    """Return the result of a job, which another machine sent with its `code_digest`.

    Raises:
        UserError: The code differs, a shared folder is missing, or the job raised it; with this host's name.
        OSError: The job raised it; with this host's name.
    """
    host = socket.gethostname()
    if code_digest() != sender_code:
        raise UserError(f"{host} runs another version of this pipeline. Install the same one and restart its workers.")
    try:
        return work(job)
    except UserError as error:
        hint = f": {SHARE_FOLDERS}" if isinstance(error.__cause__, FileNotFoundError) else ""
        raise UserError(f"{error} (on {host}{hint})") from None
    except FileNotFoundError as error:
        raise UserError(f"{host} does not see {error.filename or error}: {SHARE_FOLDERS}") from None
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{error.strerror} (on {host})", error.filename) from None
