"""A page run headless, apart from the user's folders."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import health, session

MAIN = str(Path(session.__file__).parent / "main.py")
LIMIT = 90  # seconds for a page: torch may be imported on the way


def set_apart(root: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the app know these checkpoints alone, no data but the digits, and begin no measurement by itself."""
    monkeypatch.setattr(session, "ROOT", root)
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("VAESCOPE_DATA", str(root / "no-data"))
    monkeypatch.setattr(session, "warm", lambda: None)
    monkeypatch.setattr(health, "begin", refused)


def refused(checkpoint: session.Checkpoint) -> None:
    raise ValueError(f"{checkpoint.name} shall not be measured.")


def visited(view: str, address: dict[str, str | list[str]]) -> AppTest:
    """The page at this address, run once."""
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.query_params.update(address)
    app.switch_page(view)
    app.run()
    return app
