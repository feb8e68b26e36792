"""Pictures of the page of health. numpy in; figures out. Nothing here knows torch or Streamlit."""

import numpy as np
import plotly.graph_objects as go

from app.figures import BLUE, GREY, ORANGE, in_figure

ACTIVE = 0.01  # where a unit counts as active (Burda et al. 2016: of the variance of the means)
LEAST = 1e-4  # nats: what is below is drawn here
COLOURS = (BLUE, ORANGE)


def kl_figure(series: list[tuple[str, list[float]]]) -> go.Figure:
    """KL by dimension of one checkpoint or two, by [(name, nats [D])], on a logarithmic axis under one cursor."""
    bars = [
        go.Bar(
            x=list(range(1, len(values) + 1)),
            y=np.maximum(values, LEAST),
            customdata=np.asarray(values),
            name=in_figure(name),
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{customdata:.4f} nats",
        )
        for (name, values), colour in zip(series, COLOURS, strict=False)
    ]
    highest = max(max(values) for _, values in series)
    figure = go.Figure(bars)
    figure.add_hline(ACTIVE, line={"color": GREY, "dash": "dash", "width": 1.5})
    figure.update_layout(
        barmode="group",
        hovermode="x unified",
        height=320,
        margin={"l": 56, "r": 8, "t": 34, "b": 44},
        showlegend=len(series) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode=False,
    )
    figure.update_xaxes(title="dimension of z", tickformat="d", hoverformat="d", fixedrange=True)
    if max(len(values) for _, values in series) <= 10:
        figure.update_xaxes(dtick=1)
    if max(len(values) for _, values in series) <= 4:
        figure.update_layout(bargap=0.7)
    ceiling = np.log10(max(highest, 10 * ACTIVE)) + 0.15
    ticks = [10.0**power for power in range(-4, 3)]
    figure.update_yaxes(title="KL, nats", type="log", range=[np.log10(LEAST), ceiling], fixedrange=True)
    figure.update_yaxes(tickvals=ticks, ticktext=["≤ 0.0001", *(f"{tick:g}" for tick in ticks[1:])])
    return figure
