"""Wait for a turn, then become the command: `python turn.py TICKET DESCRIPTOR COMMAND...`.

A place at work is the lock of a file in the queue's folder, which the command inherits and which its end gives back,
however it ends. Those who wait hold the lock of a ticket each, and go in the order of the tickets. A ticket is drawn by
whoever asks, before the process begins: how fast processes begin says nothing of who came first. A waiting process
is small: nothing of the command is loaded yet. How many may work at once is VAESCOPE_RUNS_AT_ONCE, one by default.
"""

import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

POLL = 0.3  # seconds


def most_at_once() -> int:
    text = os.environ.get("VAESCOPE_RUNS_AT_ONCE", "1")
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else 1


def is_held(file: Path) -> bool:
    """Whether a process holds the lock; shared, so that two who look do not take each other for one who holds."""
    try:
        with file.open("rb") as looked:
            fcntl.flock(looked, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def draw(queue: Path) -> BinaryIO:
    """A new ticket, behind all that were drawn, with its lock held."""
    queue.mkdir(parents=True, exist_ok=True)
    ticket = (queue / f"ticket-{time.time_ns():020d}-{os.getpid()}").open("wb")
    fcntl.flock(ticket, fcntl.LOCK_EX)
    return ticket


def tickets(queue: Path) -> list[str]:
    """The tickets of those who wait, in their order."""
    return [file.name for file in sorted(queue.glob("ticket-*-*")) if is_held(file)]


def take_place(queue: Path) -> int | None:
    """The descriptor of a place at work that was free; None where none is."""
    for number in range(most_at_once()):
        place = os.open(queue / f"place-{number}", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return place
        except BlockingIOError:
            os.close(place)
    return None


def wait(ticket: Path) -> int:
    """The descriptor of a place at work, once it is this ticket's turn."""
    try:
        while True:
            if tickets(ticket.parent)[:1] == [ticket.name] and (place := take_place(ticket.parent)) is not None:
                return place
            time.sleep(POLL)
    finally:
        ticket.unlink(missing_ok=True)


def tidy(queue: Path) -> None:
    """Remove tickets whose processes were killed."""
    for file in queue.glob("ticket-*-*"):
        if not is_held(file) and time.time() - file.stat().st_mtime > 60:
            with suppress(OSError):
                file.unlink()


if __name__ == "__main__":
    own, held, *command = sys.argv[1:]
    tidy(Path(own).parent)
    os.set_inheritable(wait(Path(own)), True)
    os.close(int(held))
    os.execvp(command[0], command)
