"""The colours of the page of codes: shades of one label, and a scale for numbers."""

# From dark to light through violet and orange (matplotlib's plasma); the end that a ground would swallow is left out.
RAMP = ("#0D0887", "#47039F", "#7301A8", "#9C179E", "#BD3786", "#D8576B", "#ED7953", "#FA9E3B", "#FDC926", "#F0F921")


def shaded(colour: str, step: int) -> str:
    """The colour itself for step 0, then in turn lighter and darker, ever farther from it."""
    if step == 0:
        return colour
    end, share = 255 * (step % 2), min(0.6, 0.22 * ((step + 1) // 2))
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part + share * (end - part)):02X}" for part in parts)
