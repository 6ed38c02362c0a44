"""Rules of a feature's properties: those of QuPath's importer, 0.5 to 0.7."""

from __future__ import annotations

from collections.abc import Callable

from wsipsm.results.validate import checks
from wsipsm.results.validate.feature import Feature
from wsipsm.results.validate.report import Rule, Severity

Check = Callable[[Feature], str | None]

ABORT, WRONG, MINOR = Severity

_AS_DETECTION = "write properties.objectType: 'detection', exactly so; --fix does"
_OMIT = "omit the key; --fix does"
_COLOR = "write color: [red, green, blue], whole numbers from 0 to 255; --fix does"

RULES: tuple[tuple[Rule, Check], ...] = (
    (
        Rule("not_a_feature_type", WRONG, "an entry of the list is no Feature", "write type: 'Feature'; --fix does"),
        checks.not_a_feature,
    ),
    (Rule("null_value", ABORT, "a null where none may be stops the import", _OMIT), checks.null),
    (Rule("properties_kind", ABORT, "properties is no object", "write an object; --fix does"), checks.properties_kind),
    (
        Rule(
            "object_type_misplaced",
            WRONG,
            "objectType beside properties is ignored: every object becomes an annotation",
            f"move it into properties: {_AS_DETECTION}",
        ),
        checks.type_misplaced,
    ),
    (
        Rule(
            "object_type_missing",
            WRONG,
            "without objectType every object becomes an annotation, and a million of those stop QuPath",
            _AS_DETECTION,
        ),
        checks.type_missing,
    ),
    (
        Rule(
            "object_type_unknown",
            WRONG,
            "an unknown objectType makes annotations",
            f"lower case, one of detection, cell, annotation: {_AS_DETECTION}",
        ),
        checks.type_unknown,
    ),
    (
        Rule(
            "type_taken_for_object_type",
            WRONG,
            "QuPath takes properties.type for the object type and makes annotations",
            f"put it into classification, and {_AS_DETECTION}",
        ),
        checks.free_type,
    ),
    (
        Rule("id_missing", MINOR, "QuPath gives a random id, another one at each import", "write a UUID; --fix does"),
        checks.id_missing,
    ),
    (
        Rule("id_not_uuid", WRONG, "an id that is no UUID is replaced by a random one", "write a UUID; --fix does"),
        checks.id_not_uuid,
    ),
    (
        Rule(
            "class_kind",
            ABORT,
            "classification is neither an object nor a name",
            "write name and color; --fix removes it",
        ),
        checks.class_kind,
    ),
    (Rule("class_blank", ABORT, "a class with a blank name stops the import", _OMIT), checks.class_blank),
    (
        Rule(
            "class_without_name", WRONG, "a class without a name is lost", "write classification.name; --fix removes it"
        ),
        checks.class_without_name,
    ),
    (Rule("class_without_color", ABORT, "a class without color stops the import", _COLOR), checks.class_without_color),
    (
        Rule("color_kind", ABORT, "a colour as text, as one number or with fractions stops the import", _COLOR),
        checks.color_kind,
    ),
    (Rule("color_range", WRONG, "a colour outside 0 to 255 becomes another one", _COLOR), checks.color_range),
    (
        Rule(
            "class_derived",
            MINOR,
            "': ' in a name makes a class below another class",
            "write another separator unless that is meant",
        ),
        checks.class_derived,
    ),
    (
        Rule("measurements_kind", ABORT, "measurements is no object", "write name to number; --fix removes it"),
        checks.measurements_kind,
    ),
    (
        Rule(
            "measurement_no_number",
            ABORT,
            "a measurement that is no number stops the import",
            "write a number or omit it; --fix omits it",
        ),
        checks.measurement_no_number,
    ),
    (
        Rule("measurement_text", MINOR, "a number written as text", "write it without quotation marks; --fix does"),
        checks.measurement_text,
    ),
    (
        Rule("measurement_null", MINOR, "a measurement that is null is skipped, with a warning for each", _OMIT),
        checks.measurement_null,
    ),
    (
        Rule(
            "measurement_nan",
            MINOR,
            "NaN and Infinity are no JSON: QuPath reads them, other readers refuse the file",
            _OMIT,
        ),
        checks.measurement_nan,
    ),
    (
        Rule(
            "nucleus_misplaced",
            WRONG,
            "nucleusGeometry in properties is ignored",
            "it stands beside geometry; --fix moves it",
        ),
        checks.nucleus_misplaced,
    ),
    (
        Rule(
            "nucleus_unread", MINOR, "nucleusGeometry is read of cells only", "write objectType: 'cell' if it is meant"
        ),
        checks.nucleus_unread,
    ),
    (
        Rule(
            "properties_unread",
            MINOR,
            "these properties are not shown in QuPath",
            "put numbers into measurements if they are needed",
        ),
        checks.unread,
    ),
)
