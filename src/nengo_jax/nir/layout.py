"""The shapes that objects of a network have in NIR.

Values of nengo are flat; NIR tells images with their channels first from vectors. An
object is an image if convolutions lead to or from it and nothing else needs it flat:
NIR can make an image flat but not a vector into an image. All objects that are linked
element by element have the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nengo
import numpy as np
from nengo.transforms import ChannelShape, Convolution

from .convolution_out import to_node
from .kernels import channels_first, order_of
from .links import Kernel, Link, Source, Target


class Layout:
    """Where each object has which shape.

    Parameters
    ----------
    images : mapping of object to ChannelShape
        The objects that are images, with their shapes in nengo.
    """

    def __init__(self, images: Mapping[Source | Target, ChannelShape]):
        self._images = dict(images)

    def image(self, obj: Source | Target) -> ChannelShape | None:
        """Return the shape of an image in nengo; None of a vector."""
        return self._images.get(obj)

    def shape(self, obj: Source | Target, size: int) -> tuple[int, ...]:
        """Return the shape of an object in NIR."""
        image = self.image(obj)
        return (size,) if image is None else channels_first(image)

    def order(self, obj: Source | Target, size: int) -> np.ndarray:
        """Return where the elements of an object in NIR are in nengo."""
        image = self.image(obj)
        return np.arange(size) if image is None else order_of(image)


def plan_layout(links: Sequence[Link], constants: set[nengo.Node]) -> Layout:
    """Find out which objects are images."""
    links = [link for link in links if link.source not in constants]
    group_of = _groups(links)
    proposals: dict[int, set[ChannelShape]] = {}
    flat: set[int] = set()

    def propose(obj: Source | Target, shape: ChannelShape) -> None:
        proposals.setdefault(group_of[obj], set()).add(shape)

    native = [_native(link) for link in links]
    for link, convolution in zip(links, native, strict=True):
        if convolution is not None:
            propose(link.source, convolution.input_shape)
            propose(link.target, convolution.output_shape)
        elif not _is_elementwise(link) and link.target in group_of:
            flat.add(group_of[link.target])
        if isinstance(link.target, nengo.Ensemble) and link.target.neurons in group_of:
            flat.add(group_of[link.target.neurons])
    flat |= {group for group, shapes in proposals.items() if len(shapes) > 1}
    while True:
        images = {g: next(iter(s)) for g, s in proposals.items() if g not in flat}
        ends = [
            {group_of[link.source], group_of[link.target]}
            for link, convolution in zip(links, native, strict=True)
            if convolution is not None
        ]
        spoilt = {group for pair in ends if pair - set(images) for group in pair}
        if spoilt <= flat:
            break
        flat |= spoilt
    return Layout(
        {obj: images[group] for obj, group in group_of.items() if group in images}
    )


def _groups(links: Sequence[Link]) -> dict[Source | Target, int]:
    """Number the objects, those that are linked element by element alike."""
    group_of: dict[Source | Target, int] = {}
    for number, link in enumerate(links):
        ends = [link.source]
        if not isinstance(link.target, nengo.Ensemble):
            ends.append(link.target)
        for i, obj in enumerate(ends):
            group_of.setdefault(obj, 2 * number + i)
        if _is_elementwise(link) and len(ends) == 2:
            old, new = group_of[ends[1]], group_of[ends[0]]
            group_of = {obj: new if g == old else g for obj, g in group_of.items()}
    for link in links:
        if isinstance(link.target, nengo.Ensemble):
            group_of.setdefault(link.target.neurons, -1 - len(group_of))
    return group_of


def _is_elementwise(link: Link) -> bool:
    return isinstance(link.weights, np.ndarray) and link.weights.ndim == 1


def _native(link: Link) -> Convolution | None:
    """Return the convolution of a link, if NIR has a node for it."""
    kernel = link.weights
    if not isinstance(kernel, Kernel) or isinstance(link.target, nengo.Ensemble):
        return None
    node = to_node(kernel.transform, kernel.weights)
    return None if node is None else kernel.transform
