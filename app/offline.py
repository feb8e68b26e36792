"""A view of one image as a single HTML file: picture, numbers, model card and the latent pad, without a net."""

import json
from collections.abc import Collection
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from app import comparison, document, figures, offline_picture, pad, panels, pinned, session, words
from app.pad import Entries
from app.session import Checkpoint, Look

COMPONENTS = Path(__file__).parent / "components"
SCRIPTS, STYLES = ("decoder", "pad_picture", "pad_panel", "words", "offline"), ("common", "pad", "offline")


def page(
    entries: Entries,
    apart: Entries,
    names: dict[str, str],
    z: tuple[float, float] | None = None,
    hidden: Collection[str] = (),
) -> str:
    """The file's text.

    `apart` are checkpoints compared, of another true posterior; z is what is pinned; see layers.LAYERS for what may be
    `hidden` in the large picture.
    """
    checkpoint, look = entries[0]
    named = names if entries[1:] or apart else None
    axes, log_density, shapes, notes = panels.drawing(entries, named, hidden)
    marks = panels.marks(look, session.path(checkpoint.digest, look.pick, checkpoint), hidden)
    picture = offline_picture.svg((axes, log_density), shapes, panels.spoken(entries, hidden), marks)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    decoder, problem = pad.decoder(checkpoint.digest, checkpoint)
    view = {**state(entries, axes, named), "pinned": z and list(z)} if decoder else None
    title = f"{panels.name(look)}, {checkpoint.name}"
    body = (
        f"<h1>{escape(title)}</h1><p class='lead'>{escape(words.headline(look))}</p>"
        f"<div class='view'><figure>{picture}<figcaption>{offline_picture.legend(shapes, marks)}{said}</figcaption>"
        f"</figure><div>{pad_place(problem)}{panels.pictures(look)}{numbers(look)}</div></div>"
        f"{beside(entries, apart, names)}{EXPLANATION}{card(checkpoint)}{link(entries, apart, z, hidden)}"
    )
    return document.page(f"{title} - VAEscope", style(), body, scripts(view))


def state(entries: Entries, axes: tuple, names: dict[str, str] | None) -> dict:
    """What the pad's scripts read: decoder, densities, the image and the frame."""
    checkpoint, look = entries[0]
    return {
        **pad.view(entries, names),
        "decoder": pad.decoder(checkpoint.digest, checkpoint)[0],
        "densities": pad.plane(checkpoint.digest, checkpoint),
        "what": panels.name(look),
        "frame": [float(end) for axis in axes for end in (axis[0], axis[-1])],
        "problem": "",
        "decoded": None,
    }


def scripts(view: dict | None) -> str:
    """The pad's own scripts and their data, in which no text can end the script; nothing where there is no pad."""
    if view is None:
        return ""
    data = json.dumps(view, allow_nan=False).replace("<", "\\u003c")
    code = "\n".join((COMPONENTS / f"{name}.js").read_text() for name in SCRIPTS)
    return f"<script type='application/json' id='view'>{data}</script><script>{code}</script>"


def style() -> str:
    return f"<style>{''.join((COMPONENTS / f'{name}.css').read_text() for name in STYLES)}</style>"


def pad_place(problem: str) -> str:
    if problem:
        return f"<p>The latent pad is not in this file: the decoder stays on the server, because {escape(problem)}.</p>"
    return "<div class='pad'></div><noscript><p>The latent pad needs a browser that runs scripts.</p></noscript>"


def numbers(look: Look) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(row.name)}</th><td>{escape(row.value)}</td><td>{escape(row.meaning)}</td></tr>"
        for row in words.numbers(look, "")
    )
    return f"<table class='numbers'><caption>Numbers of this image, in nats</caption>{rows}</table>"


def beside(entries: Entries, apart: Entries, names: dict[str, str]) -> str:
    """A small picture for each checkpoint `apart`, and the table of all checkpoints, where there are several."""
    if len(entries) + len(apart) == 1:
        return ""
    own = [figures.styles([guest.recipe])[0] for guest, _ in apart]
    drawn = "".join(
        multiple(f"apart-{place}", look, names[guest.name], *style)
        for place, ((guest, look), style) in enumerate(zip(apart, own, strict=True))
    )
    styles = figures.styles([entry.recipe for entry, _ in entries]) + own
    said = f"<p>{comparison.APART}</p><div class='multiples'>{drawn}</div>" if apart else f"<p>{comparison.SHARED}</p>"
    return f"<h2>Side by side</h2>{said}{comparison.table([*entries, *apart], names, styles)}"


def multiple(place: str, look: Look, label: str, colour: str, dash: str) -> str:
    shapes, notes, title, alt = comparison.drawing(look, label, colour, dash)
    picture = offline_picture.svg((look.axes, look.log_density), shapes, alt, name=place)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<figure>{picture}<figcaption><b>{escape(title)}</b>{said}</figcaption></figure>"


def card(checkpoint: Checkpoint) -> str:
    """What the model card says of the checkpoint and its training."""
    training = (checkpoint.metrics or {}).get("training")
    told = (
        {word: training[key] for key, word in TOLD.items() if training.get(key) is not None}
        if isinstance(training, dict)
        else {}
    )
    about = {
        "checkpoint": checkpoint.name,
        "system": checkpoint.label,
        "data set": checkpoint.dataset or "unknown",
        "images": " x ".join(map(str, checkpoint.shape)),
        "latent dimensions": checkpoint.latent,
        **told,
        "digest of the weights": checkpoint.digest,
    }
    rows = "".join(f"<dt>{word}</dt><dd>{escape(str(value))}</dd>" for word, value in about.items())
    return f"<h2>The model</h2><dl class='card'>{rows}</dl>"


def link(entries: Entries, apart: Entries, z: tuple[float, float] | None, hidden: Collection[str]) -> str:
    """What to put after the app's own address to see this view there."""
    (checkpoint, look), guests = entries[0], [entry.name for entry, _ in [*entries[1:], *apart]]
    asked = [("checkpoint", checkpoint.name), *look.pick.address.items(), *(("with", name) for name in guests)]
    asked += [("z", pinned.text(z))] if z else []
    asked += [("hide", layer) for layer in hidden]
    return f"<p>In VAEscope: <code>/posterior?{escape(urlencode(asked))}</code></p>"


TOLD = {
    "command": "command",
    "start": "begun with",
    "images": "training images",
    "epochs": "epochs",
    "seed": "seed",
    "hardware": "hardware",
    "versions": "versions",
}
EXPLANATION = (
    "<h2>How this was computed</h2><p>log p(x) = ELBO + KL(q(z|x) || p(z|x)). With two latent dimensions the integral "
    "over z can be done outright: the decoder is evaluated on a grid, its maxima start an ascent, and each mode is "
    "integrated on a fine patch of its own until two step sizes agree. The best Gaussian q* is the diagonal one with "
    "the least KL(q* || p(z|x)) for this one image; its divergence is the approximation gap, what the encoder loses "
    "beyond it the amortization gap (Cremer et al. 2018, Inference Suboptimality in Variational Autoencoders). "
    "IWAE(100) is the importance weighted bound of Burda et al. 2016. A q that is no diagonal Gaussian is drawn by "
    "lines of equal density, where log q has dropped by 0.5, 2 and 4.5 nats: a Gaussian's 1, 2 and 3 sd.</p>"
)
