"""The percentage done, told by a process that trains to the one that started it and others, as torchrun does.

The launcher hands its processes neither pipes nor queues. So the numbers go by datagrams to a port of this machine: one
that is lost, or that nobody hears any more, holds nobody up.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

PORT = "COSPLACE_PERCENTAGE_PORT"  # the variable of the environment that has it
HERE = "127.0.0.1"
LONGEST = 16  # bytes of a number, and to spare


@contextlib.contextmanager
def hearing_percentages(on_percentage: Callable[[int], None] | None) -> Iterator[None]:
    """Tell of the percentages that processes have which are started in this context."""
    if on_percentage is None:
        yield
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((HERE, 0))
        listener = threading.Thread(target=_hear, args=(ear, on_percentage), daemon=True)
        listener.start()
        os.environ[PORT] = str(ear.getsockname()[1])
        try:
            yield
        finally:
            del os.environ[PORT]
            ear.sendto(b"", ear.getsockname())  # comes after all that was told
            listener.join()


def _hear(ear: socket.socket, on_percentage: Callable[[int], None]) -> None:
    while message := ear.recv(LONGEST):
        with contextlib.suppress(ValueError):  # from whoever else sends to ports of this machine
            on_percentage(int(message))


def teller_of_percentages() -> Callable[[int], None] | None:
    """Return what tells the process that started this one of percentages; None where it does not listen."""
    if PORT not in os.environ:
        return None
    address = HERE, int(os.environ[PORT])

    def tell(percentage: int) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(str(percentage).encode(), address)

    return tell
