"""The guided tour: six ideas in order, each a link that sets a page up; the page then carries the step's banner.

The address carries the step, `tour=2`, which a page's own choices leave in place. A click on the menu ends the tour.
tests/test_tour.py holds what the sentences say against the library.
"""

from dataclasses import dataclass

import streamlit as st

from app import choices
from app.plain import quoted

Address = dict[str, str | list[str]]
MORE = "m"  # behind a step's number in the address: what it shows besides


@dataclass(frozen=True)
class More:
    """What a step shows besides: its label, its address, and what is to be seen there."""

    label: str
    address: Address
    sentence: str


@dataclass(frozen=True)
class Step:
    """An idea: its page and address, what to look at and to try in three sentences, and a further link."""

    title: str
    view: str
    address: Address
    sentences: tuple[str, str, str]
    more: More


PLAIN, LEARNED = "dynamic-digits-vae-2d", "dynamic-digits-rnvp-posthoc-2d"
STEPS = (
    Step(
        "Encoder and posterior",
        "posterior",
        {"checkpoint": "digits-vae-2d", "image": "138"},
        (
            "Blue is where the image truly comes from, the posterior p(z|x); orange is the encoder's guess q(z|x), and "
            "at image 138 the two agree to within 0.05 nats.",
            "Look at the latent map: each dot is a test image, and its code is the centre of the encoder's guess.",
            "Click other dots or press the arrow keys, and watch how seldom the guess is as good as this one.",
        ),
        More(
            "On MNIST",
            {"checkpoint": "mnist-vae-2d", "image": "1280"},
            "Image 1280 is a rare one: its encoder loses less than 0.05 nats, and half of the test images lose more "
            "than 7.",
        ),
    ),
    Step(
        "Two gaps",
        "posterior",
        {"checkpoint": "digits-vae-2d", "image": "47"},
        (
            "The posterior of image 47 has two modes, yet of the 37 nats that the encoder loses there the best "
            "Gaussian (green) would save all but about 0.1: the rest is the amortization gap.",
            "The approximation gap is what no diagonal Gaussian can save; look for it at image 169, whose posterior "
            "has four modes.",
            "Try to guess, before you look, which of the two gaps is the larger one at other images of the strip.",
        ),
        More(
            "Image 169",
            {"checkpoint": "digits-vae-2d", "image": "169"},
            "Image 169 has a posterior of four modes, and of the 1.5 nats that its encoder loses the approximation gap "
            "is 0.7: no diagonal Gaussian can save them.",
        ),
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
        More(
            "On MNIST",
            {"checkpoint": "mnist-gpvae-2d", "by": "sum", "measure": "gap"},
            "The same question over 10,000 images, the data set of the paper's figure: read the verdict beside the "
            "dots.",
        ),
    ),
    Step(
        "Prior holes",
        "prior",
        {"checkpoint": PLAIN, "with": [LEARNED], "z": "0.11,-0.84"},
        (
            "Where the map is orange the prior promises more images than the data have there; the marked place is the "
            "lowest of those that N(0, I) likes.",
            "There N(0, I) has about three times the density of the data, and what the data ask for is a blend of some "
            "60 images, which is no digit.",
            "Click other orange places and compare what the decoder draws with what the data ask for, then switch the "
            "map to the learned prior.",
        ),
        More(
            "On MNIST",
            {"checkpoint": "dynamic-mnist-vae-2d", "with": ["dynamic-mnist-rnvp-posthoc-2d"]},
            "The same map over all training images of MNIST; the place that is marked first is its deepest hole where "
            "N(0, I) is high.",
        ),
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
        More(
            "On MNIST",
            {"checkpoint": "dynamic-mnist-vae-2d", "with": ["dynamic-mnist-rnvp-posthoc-2d"], "path": "linear"},
            "The first rows are those with the deepest valleys under the learned prior, the last ones have the "
            "smoothest ways: compare what is drawn on them.",
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
        More(
            "On MNIST",
            {"checkpoint": "dynamic-mnist-mae-1-0.5-32d", "colour": "cluster"},
            "The same for MNIST, where the paper's own numbers stand beside those of this smaller model.",
        ),
    ),
)


# Streamlit shades links to the page that is open: here all ways are alike.
STYLE = """<style>
.st-key-tour_banner { padding: .6rem 1rem; }
.st-key-tour_banner p { font-size: .92rem; line-height: 1.4; }
.st-key-tour_banner a { background: transparent; border: 1px solid rgba(128, 140, 150, .45); }
.st-key-tour_banner a * { font-weight: 400; }
.st-key-tour_banner a:hover { background: rgba(128, 140, 150, .18); }
</style>"""


def link(number: int, label: str, icon: str | None = None) -> None:
    """A link to step `number`, from 1."""
    step = STEPS[number - 1]
    st.page_link(f"views/{step.view}.py", label=label, icon=icon, query_params={**step.address, "tour": str(number)})


def more(number: int) -> None:
    """A link to what a step shows besides."""
    step = STEPS[number - 1]
    query = {**step.more.address, "tour": f"{number}{MORE}"}
    st.page_link(f"views/{step.view}.py", label=step.more.label, query_params=query)


def banner() -> None:
    """Above a page that a step set up: its sentences, and the way on."""
    text = st.query_params.get("tour")
    if text is None:
        return
    if text.removesuffix(MORE) not in map(str, range(1, len(STEPS) + 1)):
        st.warning(f"The link asks for step {quoted(text, 20)} of the tour, which has the steps 1 to {len(STEPS)}.")
        choices.keep("tour", None)
        return
    number, besides = int(text.removesuffix(MORE)), text.endswith(MORE)
    step = STEPS[number - 1]
    name = f"{step.title} ({step.more.label})" if besides else step.title
    said = step.more.sentence if besides else " ".join(step.sentences)
    st.html(STYLE)
    with st.container(border=True, key="tour_banner", gap="xsmall"):
        st.markdown(f"**Step {number} of {len(STEPS)}: {name}.** {said}")
        with st.container(horizontal=True, gap="small"):
            ways(number, besides)


def ways(number: int, besides: bool) -> None:
    if besides:
        link(number, f"Back: {STEPS[number - 1].title}", ":material/arrow_back:")
    else:
        if number > 1:
            link(number - 1, f"Back: {STEPS[number - 2].title}", ":material/arrow_back:")
        more(number)
    if number < len(STEPS):
        link(number + 1, f"Next: {STEPS[number].title}", ":material/arrow_forward:")
    else:
        st.page_link("views/tour.py", label="The tour ends here", icon=":material/flag:")
