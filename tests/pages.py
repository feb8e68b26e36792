"""A page run headless, apart from the user's folders."""

import ast
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import health, session

MAIN = str(Path(session.__file__).parent / "main.py")
# A component of ours: its script, the class of its root, and further scripts.
DECLARED = re.compile(r'declared\("(\w+)", "(\w+)"(?:, (\([^)]*\)))?\)')
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


def scripts() -> dict[str, tuple[str, str]]:
    """Of each component the code as the app hands it over, and the class of its root."""
    app, found = Path(__file__).parents[1] / "app", {}
    for file in app.glob("*.py"):
        for name, root, parts in DECLARED.findall(file.read_text()):
            files = (name, *(ast.literal_eval(parts) if parts else ()))
            found[name] = "\n".join((app / "components" / f"{each}.js").read_text() for each in files), root
    return found
