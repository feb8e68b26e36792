"""An HTML file that stands alone: it may show what it carries, and ask nobody for more."""

from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
RUNNING = f"{POLICY}; script-src 'unsafe-inline'"


def page(title: str, styles: str, main: str, scripts: str = "") -> str:
    """The file's text; `title` is plain text, the rest are elements, in which a stranger's text is escaped already."""
    policy = RUNNING if scripts else POLICY
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta http-equiv='Content-Security-Policy' "
        f"content=\"{policy}\"><meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title>{styles}</head><body><main>{main}</main>{scripts}</body></html>"
    )
