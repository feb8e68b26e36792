"""The components' scripts, as they are read: what is shared is written once, and goes where it is called."""

import re
from pathlib import Path

import pytest
from pages import scripts

FILES = {file.stem: file.read_text() for file in (Path(__file__).parents[1] / "app" / "components").glob("*.js")}


def test_no_pen_is_given_a_radius_but_by_what_bounds_it() -> None:
    found = {name for name, code in FILES.items() if re.search(r"\.(?:arc|ellipse)\(", code)}
    assert found == {"circle"}


def test_no_script_writes_a_plural_behind_a_number() -> None:
    found = [
        line for code in FILES.values() for line in re.findall(r"\$\{[^}]*\}(?: (?:point|code|image)s\b|s\b).*", code)
    ]
    assert found == []


@pytest.mark.parametrize("component", scripts())
def test_a_component_carries_what_it_calls(component: str) -> None:
    code, _ = scripts()[component]
    for name in ("circle", "oval", "counted", "nats", "fixed", "significant", "shade", "svgPen"):
        called = re.search(rf"(?<![\w.-]){name}\(", re.sub(rf"function {name}\(|//.*", "", code))
        assert not called or re.search(rf"(?:function|const) {name}\b", code), name
