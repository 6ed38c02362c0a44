"""Rules of a GeoJSON file as a whole."""

from __future__ import annotations

from wsipsm.results.validate.report import Rule, Severity

MANY_OBJECTS = 250_000
"""Objects above which one file needs too much of QuPath's memory: 12 kB an object while it is read."""
MANY_ANNOTATIONS = 20_000
"""Annotations above which QuPath becomes slow."""

ABORT, WRONG, MINOR = Severity

_REWRITE = "--fix writes it anew"

FILE_RULES = {
    rule.key: rule
    for rule in (
        Rule(
            "extension",
            WRONG,
            "nothing is imported from a file of such a name",
            "rename it .geojson or .geojson.gz",
        ),
        Rule("gzip_mismatch", ABORT, "name and content disagree on gzip", "name it .geojson.gz exactly if it is gzip"),
        Rule("not_json", ABORT, "not JSON", f"{_REWRITE}, without what cannot be read"),
        Rule("truncated", ABORT, "the file ends too early", f"write it again; {_REWRITE}, up to there"),
        Rule("trailing_comma", ABORT, "a comma before the closing bracket stops the import", _REWRITE),
        Rule("newline_delimited", ABORT, "one feature a line is no GeoJSON: it stops the import", _REWRITE),
        Rule("not_a_feature", ABORT, "the list holds something that is no object", f"{_REWRITE}, up to there"),
        Rule("not_a_collection", WRONG, "the file is no FeatureCollection", _REWRITE),
        Rule("bare_list", MINOR, "a bare list: QuPath reads it, GIS libraries do not", _REWRITE),
        Rule("bare_feature", MINOR, "one object without a collection", _REWRITE),
        Rule("no_feature", MINOR, "no feature: nothing is imported", "check the program that wrote it"),
        Rule(
            "many_objects",
            MINOR,
            "needs 12 kB of memory an object while it is read",
            "split it at 250 000 objects",
        ),
        Rule(
            "many_annotations",
            MINOR,
            "so many annotations make QuPath slow",
            "write cells as detections",
        ),
        Rule(
            "class_of_two_colors",
            WRONG,
            "a class with two colours: one of them is shown",
            "one class, one colour; --fix keeps the first",
        ),
        Rule("id_repeated", WRONG, "an id occurs twice; QuPath keeps both silently", "write unique UUIDs; --fix does"),
    )
}
