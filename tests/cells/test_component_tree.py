"""The component tree against one labelling a level."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipsm.cells.component_tree import component_tree


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), connectivity=st.sampled_from([4, 8]))
def test_the_nodes_of_a_tree_are_the_components_scipy_finds(seed: int, connectivity: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 5, (12, 14)).astype(np.uint8)
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)

    tree = component_tree(levels, connectivity=connectivity)

    area, (x0, x1, y0, y1) = tree.total(), tree.box()
    for k in range(1, int(levels.max()) + 1):
        components, count = ndimage.label(levels >= k, structure)
        nodes = np.flatnonzero(tree.level == k)
        expected = sorted(
            (int((components == n + 1).sum()), s[1].start, s[1].stop - 1, s[0].start, s[0].stop - 1)
            for n, s in enumerate(ndimage.find_objects(components))
        )
        assert count == nodes.size
        assert sorted(zip(*(v[nodes].tolist() for v in (area, x0, x1, y0, y1)), strict=True)) == expected
    children = tree.parent >= 0
    assert (tree.level[tree.parent[children]] == tree.level[children] - 1).all()
