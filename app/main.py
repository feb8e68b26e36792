"""The list of pages and the frame around them."""

import streamlit as st

from app import choices, keep, owners, serving, session, tour
from vaecore.threads import wait_passively

# Streamlit keeps six lines free above the title.
TIGHTER = """<style>
.stMainBlockContainer { padding: 4rem clamp(1rem, 2.5vw, 2.5rem) 3rem; }
.st-key-visitor { position: absolute; }
</style>"""

wait_passively()  # before torch is loaded
st.set_page_config(page_title="VAEscope", page_icon=session.ICON, layout="wide")
st.html(TIGHTER)
pages = [
    st.Page("views/home.py", title="VAEscope", icon=":material/home:", url_path="home", default=True),
    st.Page("views/tour.py", title="Guided tour", icon=":material/tour:", url_path="tour"),
    st.Page("views/posterior.py", title="How wrong is the encoder?", icon=":material/target:", url_path="posterior"),
    st.Page("views/unsure.py", title="Where is it unsure?", icon=":material/help_center:", url_path="unsure"),
    st.Page("views/learned.py", title="What has it learned?", icon=":material/bubble_chart:", url_path="learned"),
    st.Page("views/between.py", title="What lies between?", icon=":material/linear_scale:", url_path="between"),
    st.Page("views/prior.py", title="Where is the prior wrong?", icon=":material/blur_off:", url_path="prior"),
    st.Page("views/health.py", title="Is it healthy?", icon=":material/monitor_heart:", url_path="health"),
    st.Page("views/train.py", title="Train one", icon=":material/model_training:", url_path="train"),
    st.Page("views/checkpoints.py", title="Checkpoints", icon=":material/inventory_2:", url_path="checkpoints"),
]
page = st.navigation(pages, position="top")
choices.arrive(page.url_path)
serving.announce()
owners.greet()
tour.banner()
page.run()
keep.every_figure()
session.warm()
