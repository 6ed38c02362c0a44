"""Checks of result files: what QuPath makes of a GeoJSON file, and whether a label store is valid and agrees.

Any tool's GeoJSON can be checked. A rule is a row of a table with one small function: `rules` has those of properties,
`shapes` those of geometries, `files` those of a file as a whole, `labels` those of a label store.
"""
