"""From evidence to cells: instances, outlines, measurements."""
