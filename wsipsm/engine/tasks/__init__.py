"""What workers do with a slide.

`prepare` and `calibrate` once, `map_tile` and `find_cells` for each tile, `write_labels` and `assemble` side by side,
`publish`; or only `export`.
"""
