"""The report of health as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

import math
from html import escape

from app import document, figures_health, health_rows
from app.health import Health

HIGH, WIDE = 150, 640  # of the bars, in pixels


def page(found: list[Health], indices: tuple[int, ...]) -> str:
    """The whole file; `indices` are the test images drawn at random."""
    title = "Is it healthy? " + ", ".join(one.checkpoint.name for one in found)
    worst = "".join(
        f"<h2>Least ELBO under {escape(one.checkpoint.name)}</h2>{pictures(found, one.worst)}" for one in found
    )
    body = (
        f"<h1>{escape(title)}</h1><section class='health'>{health_rows.headlines(found)}{health_rows.table(found)}"
        f"{health_rows.protocol(found)}</section>{''.join(map(divided, found))}"
        f"<h2>Images drawn at random, each beside its reconstructions</h2>{pictures(found, indices)}{worst}"
        f"{''.join(map(origin, found))}"
    )
    return document.page(title, health_rows.STYLE + STYLE, body)


def divided(one: Health) -> str:
    """KL by dimension as bars on a logarithmic axis, or why there is none."""
    values, name = one.report["KL by dimension"], escape(one.checkpoint.name)
    if not values:
        return f"<h2>KL by dimension: {name}</h2><p>{escape(one.report['KL by dimension is absent because'])}</p>"
    step, line = WIDE / len(values), HIGH - height(figures_health.ACTIVE, max(values))
    bars = "".join(
        f"<rect x='{step * (place + 0.1):.2f}' y='{HIGH - high:.2f}' width='{0.8 * step:.2f}' height='{high:.2f}'>"
        f"<title>dimension {place + 1}: {value:.4f} nats</title></rect>"
        for place, value in enumerate(values)
        for high in [height(value, max(values))]
    )
    return (
        f"<h2>KL by dimension: {name}</h2><svg viewBox='0 0 {WIDE} {HIGH}' role='img' aria-label='KL by dimension'>"
        f"{bars}<line x1='0' x2='{WIDE}' y1='{line:.2f}' y2='{line:.2f}'/></svg><p>Logarithmic, from "
        f"{figures_health.LEAST:g} to {max(values):.3g} nats; the dashed line is at {figures_health.ACTIVE:g}.</p>"
    )


def height(value: float, most: float) -> float:
    low, high = math.log(figures_health.LEAST), math.log(max(most, 10 * figures_health.ACTIVE))
    return HIGH * max(0.0, math.log(max(value, figures_health.LEAST)) - low) / (high - low)


def pictures(found: list[Health], indices: tuple[int, ...]) -> str:
    return f"<div class='groups'>{''.join(health_rows.strips(found, indices))}</div>"


def origin(one: Health) -> str:
    about = one.checkpoint
    text = f"{about.name}: {about.label} on {about.dataset}, D = {about.latent}; weights {about.digest[:16]}"
    return f"<p class='origin'>{escape(text)}</p>"


STYLE = """<style>
body { font: 16px/1.4 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
svg { width: 100%; height: auto; } rect { fill: #0072B2; } line { stroke: #666; stroke-dasharray: 6 4; }
.groups { display: flex; flex-wrap: wrap; gap: 6px 10px; }
.groups img { height: 42px; image-rendering: pixelated; }
.origin { font-size: .8rem; color: #666; }
</style>"""
