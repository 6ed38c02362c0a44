"""Whether a slide is stained as its configuration expects, told by its colours."""

from __future__ import annotations

from wsipsm.core.stains import Stain
from wsipsm.stain.normalise import FOREIGN_SHARE, SlideStats
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.stain.two_stains import degrees_between

PINK_SHARE, LEAST_FOREIGN_SHARE = 0.25, 0.0125
"""More pink pixels than the one and fewer of `SlideStats.foreign_colour` than the other: haematoxylin and eosin. 47 H&E
images have 0.26 or more and 0.009 or less, 23 Ki-67 ones 0.24 or less and 0.016 or more."""
SHEET_SHARE = 0.4
"""More of the chromogen in large pieces: it is not in nuclei."""
BROWN_SHARE, MIXED_SHARE = 0.2, 0.2
"""More of the first that counts as chromogen, and two stains cannot be told apart or more of the second is pink: these
are no two stains. 23 Ki-67 images show two, and 0.09 or less is brown where 0.2 or more is pink; of 18 H&E images 0.12
or less is brown. Of 96 fields of noise, grey or coloured, fine or coarse, 94 are found."""
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
    usual = stats.vectors == HDAB_VECTORS  # a red chromogen that somebody named may look like eosin
    if usual and seen.pink > PINK_SHARE and stats.foreign_colour < LEAST_FOREIGN_SHARE:
        return (
            f"{seen.pink:.0%} of the tissue is pink or purple and {stats.foreign_colour:.1%} brown or yellow, as in "
            "haematoxylin and eosin (immunostains have less of the one and more of the other): use --config he"
        )
    return (_no_two_stains(stats) if usual else "") or _in_sheets(stats) or _other_chromogen(stats)


def _no_two_stains(stats: SlideStats) -> str:
    """A picture in grey or of all colours, such as noise."""
    seen = stats.colours
    if seen is None or seen.brown < BROWN_SHARE or (stats.estimated is not None and seen.pink < MIXED_SHARE):
        return ""
    return (
        f"the colours are not those of two stains ({seen.brown:.0%} of the tissue counts as brown and {seen.pink:.0%} "
        "as pink), as in noise, a picture in grey or of something else: look at overview.png before you use these cells"
    )


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
