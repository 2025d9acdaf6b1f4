"""What a machine of a cluster does around a job: check that its code is the same, and tell its name in what fails."""

import functools
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from data_manifest.errors import UserError

PACKAGES = ("data_manifest", "pipeline")
SHARED = "all machines of the cluster must see the shared folders under the same paths"
Job = TypeVar("Job")
Result = TypeVar("Result")


@functools.cache  # at the first job: workers live for long, and what they have imported stays as it was
def code_digest() -> str:
    """Return a digest of the source of everything that jobs run."""
    content = hashlib.sha256()
    root = Path(__file__).parents[2]
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        content.update(b"%b\0%b\0" % (file.relative_to(root).as_posix().encode(), file.read_bytes()))
    return content.hexdigest()[:16]


def run_on_worker(work: Callable[[Job], Result], code: str, job: Job) -> Result:
    """Return the result of a job that another machine sent.

    Args:
        work: What is to be done.
        code: The `code_digest` of the machine that sent it: other code could give other rows.
        job: The job.

    Raises:
        UserError: What the user can mend, with this machine's name; a missing file is one that it does not see.
        OSError: The system refused something, with this machine's name.
    """
    host = socket.gethostname()
    if code_digest() != code:
        raise UserError(
            f"{host} runs another version of this pipeline: install the same there, and restart its workers"
        )
    try:
        return work(job)
    except UserError as error:
        hint = f": {SHARED}" if isinstance(error.__cause__, FileNotFoundError) else ""
        raise UserError(f"{error} (on {host}{hint})") from None
    except FileNotFoundError as error:
        raise UserError(f"{host} does not see {error.filename or error}: {SHARED}") from None
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{error.strerror} (on {host})", error.filename) from None
