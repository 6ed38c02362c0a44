"""Whether a slide is stained as its configuration expects, told by its colours."""

from __future__ import annotations

from wsipsm.core.stains import Stain
from wsipsm.stain.normalise import FOREIGN_SHARE, SlideStats
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.stain.two_stains import degrees_between

PINK_SHARE, LEAST_BROWN_SHARE = 0.12, 0.01
"""More pink pixels than this and fewer brown ones: a slide of haematoxylin and eosin. 37 H&E images have 0.13 pink or
more and 0.01 brown or less, Ki-67 images at most 0.12 pink."""
SHEET_SHARE = 0.4
"""More of the chromogen in large pieces: it is not in nuclei."""
OTHER_STAIN_DEGREES = 25.0
"""A chromogen whose colour differs more than this from DAB is another one."""


def unexpected_stain(stats: SlideStats, stain: Stain) -> str:
    """What is unusual in the colours of a slide, and what to do; empty where nothing is.

    Parameters
    ----------
    stats : SlideStats
        Of the slide.
    stain : {'he', 'ihc', 'unknown'}
        Which stains the configuration expects.
    """
    if stain == "he" and stats.foreign_colour > FOREIGN_SHARE:
        return (
            f"{stats.foreign_colour:.0%} of the stained tissue has a colour that haematoxylin and eosin do not give, "
            f"brown or yellow (more than {FOREIGN_SHARE:.0%} is unusual): for haematoxylin and DAB use --config ihc, "
            "for another stain --set recognizer.stain=unknown"
        )
    seen = stats.colours
    if seen is None:
        return ""
    if seen.pink > PINK_SHARE and seen.brown < LEAST_BROWN_SHARE:
        return (
            f"{seen.pink:.0%} of the stained tissue is pink and {seen.brown:.1%} brown, as in haematoxylin and eosin "
            "(an immunostain has brown, or little pink): use --config he"
        )
    return _in_sheets(stats) or _other_chromogen(stats)


def _in_sheets(stats: SlideStats) -> str:
    """A chromogen around nuclei where it is expected in them."""
    if stats.colours is None or stats.without_chromogen or stats.colours.sheets <= SHEET_SHARE:
        return ""
    return (
        f"{stats.colours.sheets:.0%} of the chromogen lies in pieces larger than ten nuclei (more than "
        f"{SHEET_SHARE:.0%} is unusual in nuclear stains): where membranes or cytoplasm are stained, use "
        "--set classes.compartment=ring"
    )


def _other_chromogen(stats: SlideStats) -> str:
    """A chromogen that is far from the one whose vectors are used."""
    used, estimated = stats.vectors or HDAB_VECTORS, stats.estimated
    if estimated is None or (away := degrees_between(used[1], estimated[1])) <= OTHER_STAIN_DEGREES:
        return ""
    red, green, blue = estimated[1]
    return (
        f"the chromogen seems to be [{red:.2f}, {green:.2f}, {blue:.2f}] in optical density, {away:.0f} degrees from "
        "the one that is expected: see recognizer.stain_vectors"
    )
