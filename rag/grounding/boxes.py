"""Boxes around the hot parts of a map."""

from __future__ import annotations

import numpy as np

from rag.grounding.region import Box, Heat

HOT = 0.5  # of the map's range, from which on a place belongs to a box
_SMALL = 0.25  # of the largest part's heat, below which a part has no box
_BOXES = 3


def boxes_in(heat: Heat) -> tuple[tuple[Box, ...], float]:
    """Boxes around the hot parts of a map in [0, 1], the most heat first; and their mean heat less that elsewhere."""
    from scipy import ndimage  # a tenth of a second that no question has to wait for

    rows, columns = heat.shape
    labels, count = ndimage.label(heat >= HOT)
    mass = np.asarray(ndimage.sum_labels(heat, labels, range(1, count + 1)))
    kept = [int(n) for n in np.argsort(-mass) if mass[n] >= _SMALL * mass.max()][:_BOXES]
    spans = ndimage.find_objects(labels)
    boxes = []
    for y, x in (spans[n] for n in kept):
        edges = x.start / columns, y.start / rows, x.stop / columns, y.stop / rows
        x0, y0, x1, y1 = (round(edge, 4) for edge in edges)
        boxes.append(Box(x0=x0, y0=y0, x1=x1, y1=y1, heat=round(float(heat[y, x].mean()), 4)))
    inside = np.isin(labels, [n + 1 for n in kept])
    outside = float(heat[~inside].mean()) if not inside.all() else 0.0
    return tuple(boxes), max(0.0, float(heat[inside].mean()) - outside) if inside.any() else 0.0
