"""A process with moto's S3 server: a bucket of the files of a folder, in which every n-th request fails.

python tests/s3_process.py PORT BUCKET FOLDER FAIL_EVERY
"""

import itertools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import Client

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def failing(app: App, every: int) -> App:
    """Return an application that answers every n-th request with 503; 0: none."""
    numbers = itertools.count(1)

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if every and next(numbers) % every == 0:
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        return app(environment, start)

    return answer


def main(port: int, bucket: str, folder: Path, every: int) -> None:
    """Fill the bucket, then serve it until the process is terminated."""
    app = DomainDispatcherApplication(create_backend_app)
    client, base = Client(app), f"http://127.0.0.1:{port}"
    client.put(f"/{bucket}", base_url=base)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            key = quote(file.relative_to(folder).as_posix())
            client.put(f"/{bucket}/{key}", base_url=base, data=file.read_bytes())
    run_simple("127.0.0.1", port, failing(app, every), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
