"""Words around numbers and names: what is counted, and the article that a name takes."""

import re

IRREGULAR = {"axis": "axes", "epoch": "epochs"}
# An abbreviation is read letter by letter, and the names of these letters begin with a vowel: an ONNX pair, but a VAE.
ABBREVIATION = re.compile(r"[AEFHILMNORSX](?![a-z])")
WORD = re.compile(r"[AEIO][a-z]|[aeio]|u(?!ni|s)|(?:11|18)(?!\d)|8")


def counted(number: float, thing: str) -> str:
    """`number` of a thing named in the singular: "1 image", "2,000 test images", "0 axes"."""
    return f"{number:,} {thing if number == 1 else plural(thing)}"


def plural(thing: str) -> str:
    """More than one `thing`, of whose words the last is counted: "test images", "passes", "ways"."""
    before, space, last = thing.rpartition(" ")
    if last in IRREGULAR:
        return before + space + IRREGULAR[last]
    if re.search(r"[^aeiou]y$", last):
        return f"{thing[:-1]}ies"
    return thing + ("es" if re.search(r"(?:s|x|ch|sh)$", last) else "s")


def a(name: object) -> str:
    """`name` after its article, as it is spoken: "a VAE", "an ONNX pair", "an 8", "a ResNet"."""
    said = str(name)
    return f"{'an' if ABBREVIATION.match(said) or WORD.match(said) else 'a'} {said}"
