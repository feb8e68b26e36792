"""The report of health as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

import math
import shlex
from html import escape

from app import document, figures_health, health_picture, health_rows, health_table, session
from app.health import Health

HIGH, WIDE = 150, 640  # of the bars, in pixels
FEWEST = 10  # dimensions: of fewer, bars are no wider


def page(found: list[Health], indices: tuple[int, ...]) -> str:
    """The whole file; `indices` are the test images drawn at random."""
    title = "Is it healthy? " + ", ".join(one.checkpoint.name for one in found)
    worst = "".join(
        f"<h2>Least ELBO under {escape(one.checkpoint.name)}</h2>{pictures(found, one.worst)}" for one in found
    )
    body = (
        f"<h1>{escape(title)}</h1>{health_table.verdicts(found)}{''.join(map(divided, found))}"
        f"<h2>q(z), all codes together, against the prior p(z)</h2>{health_picture.whole(found)}"
        f"<h2>Images drawn at random, each beside its reconstructions</h2>{pictures(found, indices)}{worst}"
        f"<h2>How to get these numbers again</h2>{''.join(map(origin, found))}"
    )
    return document.page(title, health_table.STYLE + health_picture.STYLE + STYLE, body)


def divided(one: Health) -> str:
    """KL by dimension as bars on a logarithmic axis, or why there is none."""
    values, name = one.report.get("KL by dimension"), escape(one.checkpoint.name)
    if not values:
        reason = one.report.get("KL by dimension is absent because", "Not measured yet.")
        return f"<h2>KL by dimension: {name}</h2><p>{escape(reason)}</p>"
    step, line = WIDE / max(len(values), FEWEST), HIGH - height(figures_health.ACTIVE, max(values))
    bars = "".join(
        f"<rect x='{step * (place + 0.1):.2f}' y='{HIGH - high:.2f}' width='{0.8 * step:.2f}' height='{high:.2f}'>"
        f"<title>dimension {place + 1}: {value:.4f} nats</title></rect>"
        for place, value in enumerate(values)
        for high in [height(value, max(values))]
    )
    return (
        f"<h2>KL by dimension: {name}</h2><svg class='bars' viewBox='0 0 {WIDE} {HIGH}' role='img' "
        f"aria-label='KL by dimension'>{bars}<line x2='{WIDE}' y1='{line:.2f}' y2='{line:.2f}'/></svg><p>"
        f"Logarithmic, from {figures_health.LEAST:g} to {max(values):.3g} nats; the dashed line is at "
        f"{figures_health.ACTIVE:g}.</p>"
    )


def height(value: float, most: float) -> float:
    low, high = math.log(figures_health.LEAST), math.log(max(most, 10 * figures_health.ACTIVE))
    return HIGH * max(0.0, math.log(max(value, figures_health.LEAST)) - low) / (high - low)


def pictures(found: list[Health], indices: tuple[int, ...]) -> str:
    return f"<div class='groups'>{''.join(health_rows.strips(found, indices))}</div>"


def origin(one: Health) -> str:
    """What was measured, and the command that measures it again."""
    about, place = one.checkpoint, one.checkpoint.folder
    folder = place.relative_to(session.ROOT) if place.is_relative_to(session.ROOT) else place.name
    command = f"python -m vaecore health {shlex.quote(str(folder))} --seed {one.report['seed']}"
    text = f"{about.name}: {about.label} on {about.dataset}, D = {about.latent}; digest {about.digest[:16]}"
    unfinished = "" if one.complete else "<p class='origin'>This report was not complete when it was kept.</p>"
    return f"<p class='origin'>{escape(text)}</p><pre>{escape(command)}</pre>{unfinished}"


STYLE = """<style>
body { font: 16px/1.4 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
svg.bars { width: 100%; height: auto; } .bars rect { fill: #0072B2; }
.bars line { stroke: #666; stroke-dasharray: 6 4; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.groups { display: flex; flex-wrap: wrap; gap: 6px 10px; }
.groups img { height: 42px; image-rendering: pixelated; }
.origin { font-size: .8rem; color: #666; }
</style>"""
