"""Guided tour: six ideas in order, each a link that sets a page up."""

import streamlit as st

from app import tour

st.header("Guided tour", anchor=False)
st.caption(
    "Six ideas in order, on small models of 8 x 8 digits that need no download. Each link sets a page up and says "
    "there what to look at and what to try; the address can be handed to a class as it is."
)
for number, step in enumerate(tour.STEPS, 1):
    with st.container(border=True):
        st.subheader(f"{number}. {step.title}", anchor=False)
        st.markdown(" ".join(step.sentences))
        with st.container(horizontal=True, gap="medium"):
            tour.link(number, f"Go to step {number}", ":material/arrow_forward:")
            tour.more(number)
