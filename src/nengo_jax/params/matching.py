r"""Find out where parameters lie in arrays that have no names.

An array joins parameters along its first axis. Often their sizes leave one arrangement
only. Where they do not, the values that a network starts with decide, because what was
trained resembles them: if r is the correlation of n rows with the start of a parameter,
then chance gives a correlation as good with probability :math:`e^{-s}`, where

.. math:: s = -\frac{n - 2}{2} \ln(1 - r^2)

up to a constant (distribution of r for n independent normal pairs; Fisher, 1915). A
correlation looks past a common shift and factor, which training easily produces. Of
values that repeat, each counts once, as training moves them together.

A place is certain if its s is larger than twice that of any other place of the
parameter, and of any other parameter in these rows, by 20. Twice, because parameters
may resemble each other from the start, and training moves in no random direction. What
is certain is taken out, and what remains is looked at again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_MARGIN = 20.0  # of s: a chance of 2e-9
_SHARE = 0.5  # of the variance that at least comes from the start
_RELATED_SHARE = 0.98  # the same for decoders of one ensemble, which can grow alike
_ROUNDING = 1e-12  # what 1 - r^2 may be in single precision
_MOST_ARRANGEMENTS = 20_000  # steps of the search; more count as ambiguous
_MOST_ELEMENTS = 2**22  # of windows that are compared at once


class Member(NamedTuple):
    """A parameter whose place is wanted.

    Attributes
    ----------
    name : str
    initial : ndarray
        Value at the start, of the shape that it has in an array.
    source : hashable or None
        Parameters with the same source, as decoders of one ensemble, can become alike
        when they are trained.
    """

    name: str
    initial: np.ndarray
    source: Hashable | None = None


class Span(NamedTuple):
    """Rows of an array."""

    array: str
    start: int
    stop: int


_Counts = tuple[tuple[int, int], ...]  # how many of each size


class _Places(NamedTuple):
    """All places of all members, one per row."""

    space: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    member: np.ndarray
    correlation: np.ndarray
    evidence: np.ndarray


def arrange(
    arrays: Mapping[str, np.ndarray], members: Sequence[Member]
) -> tuple[dict[str, list[str]], bool]:
    """Find the order of parameters in arrays that hold all of them and nothing else.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        They agree in all axes but the first.
    members : sequence of Member

    Returns
    -------
    held : dict of str to list of str
        The members in each array of which all rows could be told.
    by_value : bool
        Whether values decided, not sizes alone.
    """
    spaces = [Span(name, 0, len(value)) for name, value in arrays.items()]
    rest = list(members)
    sources = Counter(member.source for member in members)
    placed: dict[str, Span] = {}
    by_value = False
    while rest:
        found = _only_filling(arrays, spaces, rest)
        if not found:
            found = _certain(arrays, spaces, rest, sources)
            by_value = by_value or bool(found)
        if not found:
            break
        placed |= found
        rest = [member for member in rest if member.name not in placed]
        spaces = [part for space in spaces for part in _free(space, placed.values())]
    open_arrays = {space.array for space in spaces} if rest else set()
    held = {
        array: sorted(
            (name for name, span in placed.items() if span.array == array),
            key=lambda name: placed[name].start,
        )
        for array in arrays
        if array not in open_arrays
    }
    return held, by_value


def contradicts(
    arrays: Mapping[str, np.ndarray],
    members: Sequence[Member],
    held: Mapping[str, Sequence[str]],
) -> bool:
    """Return whether values leave no doubt that a parameter lies somewhere else.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    members : sequence of Member
    held : mapping of str to sequence of str
        Members in the order of rows, by array.
    """
    spaces = [Span(name, 0, len(value)) for name, value in arrays.items()]
    sources = Counter(member.source for member in members)
    sizes = {member.name: len(member.initial) for member in members}
    supposed = {}
    for array, names in held.items():
        stops = np.cumsum([sizes[name] for name in names]).tolist()
        for name, stop in zip(names, stops, strict=True):
            supposed[name] = Span(array, stop - sizes[name], stop)
    certain = _certain(arrays, spaces, members, sources)
    return any(supposed.get(name, span) != span for name, span in certain.items())


def evidence(correlation: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the negative logarithm of the probability of such correlations by chance.

    Parameters
    ----------
    correlation : ndarray
    count : ndarray
        Number of different values; below 4 there is no evidence.
    """
    square = np.maximum(correlation, 0) ** 2
    rest = np.maximum(1 - square, _ROUNDING)
    return np.where(count < 4, 0.0, -(count - 2) / 2 * np.log(rest))


def resemblance(value: np.ndarray, initial: np.ndarray) -> float:
    """Return the evidence that a value came from an initial one."""
    correlation = _standardized(value[None]) @ _standardized(initial[None]).T
    return float(evidence(correlation, np.array(distinct(initial)))[0, 0])


def distinct(value: np.ndarray) -> int:
    """Return the number of different values, in single precision."""
    return len(np.unique(value.astype(np.float32)))


def _only_filling(
    arrays: Mapping[str, np.ndarray], spaces: Sequence[Span], members: Sequence[Member]
) -> dict[str, Span]:
    """The one way to fill spaces; nothing if there are others that differ in values."""
    by_size: dict[int, list[str]] = {}
    for member in members:
        by_size.setdefault(len(member.initial), []).append(member.name)
    lengths = [space.stop - space.start for space in spaces]
    if sum(lengths) != sum(size * len(names) for size, names in by_size.items()):
        return {}
    first: dict[str, np.ndarray] = {}
    answer: dict[str, Span] = {}
    for spans in _fillings(spaces, {s: len(names) for s, names in by_size.items()}):
        if spans is None:
            return {}
        names = {size: iter(names) for size, names in by_size.items()}
        filling = {next(names[span.stop - span.start]): span for span in spans}
        values = {n: arrays[s.array][s.start : s.stop] for n, s in filling.items()}
        alike = all(
            np.array_equal(values[group[0]], values[name])
            for group in by_size.values()
            for name in group[1:]
        )
        answer, first = answer or filling, first or values
        if not alike or not all(np.array_equal(first[n], values[n]) for n in values):
            return {}
    return answer


def _fillings(
    spaces: Sequence[Span], counts: Mapping[int, int]
) -> Iterator[tuple[Span, ...] | None]:
    """Sequences of spans of the given sizes that fill spaces; None if they are many."""
    waiting: list[tuple[tuple[Span, ...], int, int, _Counts]] = []
    waiting.append(((), 0, spaces[0].start, tuple(counts.items())))
    steps = 0
    while waiting:
        steps += 1
        if steps > _MOST_ARRANGEMENTS:
            yield None
            return
        spans, index, start, left = waiting.pop()
        if start == spaces[index].stop:
            index += 1
            if index == len(spaces):
                yield spans
                continue
            start = spaces[index].start
        for size, count in left:
            stop = start + size
            if count and stop <= spaces[index].stop:
                others = tuple((s, c - (s == size)) for s, c in left)
                span = Span(spaces[index].array, start, stop)
                waiting.append(((*spans, span), index, stop, others))


def _certain(
    arrays: Mapping[str, np.ndarray],
    spaces: Sequence[Span],
    members: Sequence[Member],
    sources: Mapping[Hashable | None, int],
) -> dict[str, Span]:
    """The places that values leave no doubt about."""
    places = _places(arrays, spaces, members)
    found = {}
    for index, member in enumerate(members):
        own = np.flatnonzero(places.member == index)
        if not len(own):
            continue
        best = int(own[np.argmax(places.evidence[own])])
        overlapping = (
            (places.space == places.space[best])
            & (places.start < places.stop[best])
            & (places.stop > places.start[best])
        )
        rivals = overlapping | (places.member == index)
        rivals[best] = False
        rival = places.evidence[rivals].max(initial=0)
        related = member.source is not None and sources[member.source] > 1
        share = _RELATED_SHARE if related else _SHARE
        clear = places.evidence[best] >= 2 * rival + _MARGIN
        if clear and places.correlation[best] ** 2 >= share:
            array = spaces[int(places.space[best])].array
            start = int(places.start[best])
            found[member.name] = Span(array, start, start + len(member.initial))
    return found


def _places(
    arrays: Mapping[str, np.ndarray], spaces: Sequence[Span], members: Sequence[Member]
) -> _Places:
    """Compare all members with all rows where their sizes let them lie."""
    sizes = np.array([len(member.initial) for member in members])
    counts = np.array([distinct(member.initial) for member in members])
    possible = _sums(sizes.tolist())
    columns = [_Places(*(np.zeros(0, int) for _ in _Places._fields))]
    for number, space in enumerate(spaces):
        rows = arrays[space.array][space.start : space.stop]
        for size in np.unique(sizes).tolist():
            before = possible[: max(0, len(rows) - size + 1)]
            starts = np.flatnonzero(before & before[::-1])  # the rest can be filled too
            own = np.flatnonzero(sizes == size)
            initial = _standardized(np.stack([members[k].initial for k in own]))
            step = max(1, _MOST_ELEMENTS // initial.shape[1])
            for some in (starts[k : k + step] for k in range(0, len(starts), step)):
                windows = sliding_window_view(rows, size, axis=0)[some]
                windows = np.moveaxis(windows, -1, 1)  # as it is appended
                correlation = _standardized(windows) @ initial.T
                start = np.repeat(some + space.start, len(own))
                columns.append(
                    _Places(
                        np.full(len(start), number),
                        start,
                        start + size,
                        np.tile(own, len(some)),
                        correlation.ravel(),
                        evidence(correlation, counts[own]).ravel(),
                    )
                )
    return _Places(*map(np.concatenate, zip(*columns, strict=True)))


def _sums(sizes: Sequence[int]) -> np.ndarray:
    """Whether some of the sizes add up to 0, 1, 2 and so on."""
    bits = 1
    for size in sizes:
        bits |= bits << size
    digits = np.frombuffer(bits.to_bytes(sum(sizes) // 8 + 1, "little"), np.uint8)
    return np.unpackbits(digits, bitorder="little").astype(bool)


def _standardized(values: np.ndarray) -> np.ndarray:
    """Values of each row with mean 0 and length 1; what is constant becomes 0."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 0, length, 1)


def _free(space: Span, taken: Iterable[Span]) -> list[Span]:
    """The parts of a space that are not taken."""
    inside = sorted(
        span
        for span in taken
        if span.array == space.array and space.start <= span.start < space.stop
    )
    starts = [space.start, *(span.stop for span in inside)]
    stops = [*(span.start for span in inside), space.stop]
    return [
        Span(space.array, start, stop)
        for start, stop in zip(starts, stops, strict=True)
        if start < stop
    ]
