"""What VAEscope is, and the checkpoints that are there."""

import streamlit as st

from app import computed, panels, session
from app.notes.home import NOTES
from app.plain import plain

QUESTION, UNSURE, PRIOR = "How wrong is the encoder?", "Where is it unsure?", "Where is the prior wrong?"
BETWEEN, LEARNED, TRAIN = "What lies between?", "What has it learned?", "Train one"

words, drawing = st.columns([3, 1], vertical_alignment="center")
words.title("VAEscope", anchor=False)
words.markdown(
    "Look inside variational auto-encoders.\n\n"
    "A VAE is three densities: the prior $p(z)$, the likelihood $p(x|z)$, and the encoder's $q(z|x)$, which guesses "
    "where in the latent space an image came from. With two latent dimensions the true answer $p(z|x)$ can be "
    "computed exactly. Lay the two over each other and see what the encoder gets wrong, and why."
)
words.page_link("views/tour.py", label="**Guided tour**: six ideas, one after another", icon=":material/tour:")
words.page_link("views/posterior.py", label=f"**{QUESTION}**", icon=":material/target:")
words.page_link("views/unsure.py", label=f"**{UNSURE}**", icon=":material/help_center:")
words.page_link("views/learned.py", label=f"**{LEARNED}**", icon=":material/bubble_chart:")
words.page_link("views/between.py", label=f"**{BETWEEN}**", icon=":material/linear_scale:")
words.page_link("views/prior.py", label=f"**{PRIOR}**", icon=":material/blur_off:")
words.page_link("views/health.py", label="**Is it healthy?**", icon=":material/monitor_heart:")
words.page_link("views/train.py", label=f"**{TRAIN}**", icon=":material/model_training:")
drawing.image(session.ICON, width=180, alt="A blue posterior and the encoder's orange ellipse, which misses it in part")

title, way = st.columns([3, 1], vertical_alignment="bottom")
title.subheader("Checkpoints", anchor=False)
way.page_link("views/checkpoints.py", label="All of them, and bring your own", icon=":material/inventory_2:")
with st.spinner("Looking for checkpoints"):
    found = session.checkpoints()
panels.problems(found)
usable = [entry for entry in found.values() if not entry.problem]
for start in range(0, len(usable), 3):
    for column, entry in zip(st.columns(3), usable[start : start + 3], strict=False):
        with column.container(border=True):
            st.markdown(f"**{plain(entry.name)}**")
            st.caption(plain(panels.summary(entry)))
            with st.container(horizontal=True):
                st.page_link("views/posterior.py", label=QUESTION, query_params={"checkpoint": entry.name})
                st.page_link("views/unsure.py", label=UNSURE, query_params={"checkpoint": entry.name})
                st.page_link("views/learned.py", label=LEARNED, query_params={"checkpoint": entry.name})
if not found:
    panels.nothing_to_show(None)
computed.explain(NOTES)
