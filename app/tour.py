"""The guided tour: six ideas in order, each a link that sets a page up; the page then carries the step's banner.

The address carries the step, `tour=2`, which a page's own choices leave in place. A click on the menu ends the tour.
tests/test_tour.py holds what the sentences say against the library.
"""

from dataclasses import dataclass, field

import streamlit as st

from app import choices

Address = dict[str, str | list[str]]


@dataclass(frozen=True)
class Step:
    """An idea: its page and address, what to look at and to try in three sentences, and a further link."""

    title: str
    view: str
    address: Address
    sentences: tuple[str, str, str]
    more: tuple[str, Address] | None = field(default=None)


PLAIN, LEARNED = "dynamic-digits-vae-2d", "dynamic-digits-rnvp-posthoc-2d"
STEPS = (
    Step(
        "Encoder and posterior",
        "posterior",
        {"checkpoint": "digits-vae-2d", "image": "138"},
        (
            "Blue is where this image truly comes from, the posterior p(z|x); orange is the encoder's guess q(z|x), "
            "and here the two agree to within 0.05 nats.",
            "Look at the latent map: each dot is a test image, and its code is the centre of the encoder's guess.",
            "Click other dots or press the arrow keys, and watch how seldom the guess is as good as this one.",
        ),
        ("The same on MNIST", {"checkpoint": "mnist-vae-2d", "image": "1280"}),
    ),
    Step(
        "Two gaps",
        "posterior",
        {"checkpoint": "digits-vae-2d", "image": "47"},
        (
            "This true posterior has two modes, yet of the 37 nats that the encoder loses here the best Gaussian "
            "(green) would save all but about 0.1: the rest is the amortization gap.",
            "The approximation gap is what no diagonal Gaussian can save; look for it at image 169, whose posterior "
            "has four modes.",
            "Try to guess, before you look, which of the two gaps is the larger one at other images of the strip.",
        ),
        ("Image 169", {"checkpoint": "digits-vae-2d", "image": "169"}),
    ),
    Step(
        "Uncertainty",
        "unsure",
        {"checkpoint": "digits-gpvae-2d", "by": "sum", "measure": "gap"},
        (
            "A GPVAE says of each image how unsure its encoder is; each dot holds that against what is really wrong "
            "there, the exact gap.",
            "Here the two go together only very weakly, with a rank correlation near 0.15: uncertainty is no measure "
            "of error by itself.",
            "Hold it against the non-Gaussianity and the modes as well, and open a dot whose gap is large though the "
            "encoder is sure.",
        ),
        ("The same on MNIST", {"checkpoint": "mnist-gpvae-2d", "by": "sum", "measure": "gap"}),
    ),
    Step(
        "Prior holes",
        "prior",
        {"checkpoint": PLAIN, "with": [LEARNED], "z": "0.11,-0.84"},
        (
            "Where the map is orange the prior promises images and no code of the training data lies there; the marked "
            "place is the lowest of those that N(0, I) likes.",
            "There N(0, I) gives about one nat more than the data do, and the decoder draws what it was hardly ever "
            "trained to draw.",
            "Click other orange places and compare what the decoder draws with what the data ask for, then switch the "
            "map to the learned prior.",
        ),
        ("The same on MNIST", {"checkpoint": "dynamic-mnist-vae-2d", "with": ["dynamic-mnist-rnvp-posthoc-2d"]}),
    ),
    Step(
        "Interpolation",
        "between",
        {"checkpoint": PLAIN, "with": [LEARNED], "path": "linear", "rows": "91-301,194-233"},
        (
            "Both priors judge the very same ways: N(0, I) sees no valley on any straight line, the learned prior sees "
            "one about 0.8 nats deep on each of these.",
            "Look at the images above the mark of the deepest place: they are what the decoder draws where few data "
            "lie.",
            "Choose the way over the highest pass, which makes the learned prior's valleys half as deep or less.",
        ),
        (
            "The same on MNIST",
            {"checkpoint": "dynamic-mnist-vae-2d", "with": ["dynamic-mnist-rnvp-posthoc-2d"], "path": "linear"},
        ),
    ),
    Step(
        "Clusters",
        "learned",
        {"checkpoint": "dynamic-digits-mae-1-0.5-8d", "colour": "cluster"},
        (
            "Nobody told this encoder what a digit is, and yet 10 clusters of its codes name more than two thirds of "
            "the test images right.",
            "Look at the table of clusters against labels: which digits share a cluster, and are they alike to your "
            "eye?",
            "Raise K to 30 and see the share rise above three quarters; then enclose some dots to see their images.",
        ),
        ("The same on MNIST", {"checkpoint": "dynamic-mnist-mae-1-0.5-32d", "colour": "cluster"}),
    ),
)


# Streamlit shades links to the page that is open: here all ways are alike.
STYLE = """<style>
.st-key-tour_banner { padding: .6rem 1rem; }
.st-key-tour_banner p { font-size: .92rem; line-height: 1.4; }
.st-key-tour_banner a { background: transparent; border: 1px solid rgba(128, 140, 150, .45); }
.st-key-tour_banner a:hover { background: rgba(128, 140, 150, .18); }
</style>"""


def link(number: int, label: str, icon: str | None = None, more: bool = False) -> None:
    """A link to step `number`, from 1, or to what it shows besides."""
    step = STEPS[number - 1]
    address = step.more[1] if more else step.address
    query = {**address, "tour": str(number)}
    st.page_link(f"views/{step.view}.py", label=label, icon=icon, query_params=query)


def banner() -> None:
    """Above a page that a step set up: its sentences, and the way on."""
    text = st.query_params.get("tour")
    if text is None:
        return
    if text not in map(str, range(1, len(STEPS) + 1)):
        st.warning(f"The link asks for step {text[:20]!r} of the tour, which has the steps 1 to {len(STEPS)}.")
        choices.keep("tour", None)
        return
    number = int(text)
    step = STEPS[number - 1]
    st.html(STYLE)
    with st.container(border=True, key="tour_banner", gap="xsmall"):
        st.markdown(f"**Step {number} of {len(STEPS)}: {step.title}.** {' '.join(step.sentences)}")
        with st.container(horizontal=True, gap="small"):
            ways(number, step)


def ways(number: int, step: Step) -> None:
    if number > 1:
        link(number - 1, f"Back: {STEPS[number - 2].title}", ":material/arrow_back:")
    if step.more:
        link(number, step.more[0], more=True)
    if number < len(STEPS):
        link(number + 1, f"Next: {STEPS[number].title}", ":material/arrow_forward:")
    else:
        st.page_link("views/tour.py", label="The tour ends here", icon=":material/flag:")
