"""Rules of a label store."""

from __future__ import annotations

from wsipsm.results.validate.report import Rule, Severity

ABORT, WRONG, MINOR = Severity

_AGAIN = "run wsipsm run again"
_NGFF = "write OME-NGFF 0.5 on Zarr v3"

LABEL_RULES = {
    rule.key: rule
    for rule in (
        Rule("no_store", ABORT, "no Zarr group can be opened here", "check the path"),
        Rule("not_ngff", ABORT, "no OME-NGFF 0.5: a reader of it finds no image", _NGFF),
        Rule("version", WRONG, "another version than 0.5 is declared", _NGFF),
        Rule("labels_not_listed", WRONG, "the group does not list its labels", "write ome.labels"),
        Rule("label_missing", ABORT, "a listed label image is missing", _AGAIN),
        Rule("multiscales", ABORT, "multiscales cannot be read", _NGFF),
        Rule("axes", WRONG, "the last axes are not y and x in space", _NGFF),
        Rule("unit", MINOR, "axes without a unit", "write micrometer"),
        Rule("level_missing", ABORT, "a listed level is missing", _AGAIN),
        Rule("scale", WRONG, "a level without one scale of positive numbers, one an axis", _NGFF),
        Rule("dimension_names", WRONG, "dimension_names of an array are not the axes", _NGFF),
        Rule("dtype", WRONG, "labels that are no whole numbers", "write integers"),
        Rule("image_label", WRONG, "no image-label: it is shown as an image", "write ome.image-label"),
        Rule("colors", WRONG, "colours of labels are not valid", "one rgba of four numbers for a value"),
        Rule("pyramid", WRONG, "a level is not smaller than the one before", _AGAIN),
        Rule("averaged", WRONG, "labels of a coarser level are not in the finest: averaged", "downsample by nearest"),
        Rule("label_twice", WRONG, "a label in two rows of the table", _AGAIN),
        Rule("label_without_cell", WRONG, "labels of the image without a row in the table", _AGAIN),
        Rule("cell_without_label", WRONG, "rows of the table without a label in the image", _AGAIN),
        Rule("area", WRONG, "the area of a cell is not that of its pixels", _AGAIN),
    )
}
