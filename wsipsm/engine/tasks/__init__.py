"""What workers do with a slide: prepare, calibrate, map_tile and find_cells for each tile, assemble; or only export."""
