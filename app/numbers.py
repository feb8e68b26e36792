"""Numbers as a person reads them. components/words.js has the same rules, for what the browser alone can say."""

import math
from decimal import Decimal


def nats(value: float, error: float = 0.0) -> str:
    """One decimal, two where small; the uncertainty where it touches the last digit shown."""
    if not math.isfinite(value):
        return "not finite"
    decimals = 2 if abs(value) < 1 else 1
    text = f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    if error < 0.5 * 10**-decimals:
        return text
    places = max(decimals, -math.floor(math.log10(error))) if error < 1 else 1
    return f"{text} ± {error:.{places}f}" if math.isfinite(error) else f"{text} ± unknown"


def significant(value: float) -> str:
    """Three digits, of numbers of any size, never as a power of ten: "0.00123", "12.3", "1,230"."""
    return f"{Decimal(f'{value:.3g}'):,f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "not finite"


def measured(value: float, unit: str) -> str:
    """An amount in nats, or a number without a unit."""
    return f"{nats(value)} nats" if unit else significant(value)
