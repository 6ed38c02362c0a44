"""The index of a marker: how many cells are positive and how strongly, on a slide, in regions and in hot spots.

`scores` has the formulas, `lattice` the counts over the slide, `hot_spots` the fields with the highest index, `slide`
what a run writes, and `report` what is asked of a finished slide later. Only cells that were not refused count.
"""
