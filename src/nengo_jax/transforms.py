"""A convolution whose kernel has gaps, for all simulators.

nengo's ``Convolution`` has none, so there would be zeros between the weights, which
cost time and which training would fill. In a dilated convolution the weights stay few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nengo.builder import Builder, Model
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc, GeneralConvInc
from nengo.exceptions import ValidationError
from nengo.params import ShapeParam
from nengo.transforms import ChannelShape, Convolution


class DilatedConvolution(Convolution):
    """A convolution that takes every n-th element of its input (Yu and Koltun, 2016).

    Parameters
    ----------
    n_filters, input_shape, kernel_size, strides, padding, channels_last, init, groups
        As for ``nengo.Convolution``; ``kernel_size`` counts weights.
    dilation : sequence of int
        Distance, in each dimension of space, between elements that the kernel takes.

    Examples
    --------
    >>> from nengo_jax.transforms import DilatedConvolution
    >>> transform = DilatedConvolution(
    ...     2, (9, 1), kernel_size=(3,), strides=(1,), dilation=(2,)
    ... )
    >>> transform.output_shape.shape, transform.kernel_shape
    ((5, 2), (3, 1, 2))
    """

    dilation = ShapeParam("dilation", low=1)

    def __init__(
        self,
        n_filters: int,
        input_shape: Any,
        *arguments: Any,
        dilation: Sequence[int] = (1, 1),
        **keywords: Any,
    ):
        super().__init__(n_filters, input_shape, *arguments, **keywords)
        self.dilation = dilation
        if len(self.dilation) != self.dimensions:
            raise ValidationError(
                f"Number of dilations ({len(self.dilation)}) does not match input "
                f"dimensions ({self.dimensions})",
                attr="dilation",
            )
        if min(self.output_shape.shape) < 1:
            raise ValidationError(
                f"The kernel reaches over {self.extent} elements, but the input has "
                f"only {self.input_shape.spatial_shape}, so there would be no output",
                attr="dilation",
            )

    @property
    def extent(self) -> tuple[int, ...]:
        """Number of elements over which the kernel reaches in each dimension."""
        return tuple(
            (size - 1) * step + 1
            for size, step in zip(self.kernel_size, self.dilation, strict=True)
        )

    @property
    def output_shape(self) -> ChannelShape:
        """Shape of the output."""
        space = np.array(self.input_shape.spatial_shape)
        if self.padding == "valid":
            space = space - self.extent + 1
        return ChannelShape.from_space_and_channels(
            -(-space // np.array(self.strides)),
            self.n_filters,
            channels_last=self.channels_last,
        )

    def with_gaps(self) -> Convolution:
        """Return the plain convolution whose kernel has zeros in the gaps."""
        return Convolution(
            self.n_filters,
            self.input_shape,
            kernel_size=self.extent,
            strides=self.strides,
            padding=self.padding,
            channels_last=self.channels_last,
            groups=self.groups,
        )


class DilatedConvInc(GeneralConvInc):
    """Increment a signal by a dilated convolution of another one."""

    def make_step(self, signals: Any, dt: float, rng: Any) -> Any:
        """Do what a plain convolution does with zeros in the gaps of the kernel."""
        plain = self.conv.with_gaps()
        kernel = np.zeros(plain.kernel_shape, signals[self.W].dtype)
        taken = kernel[tuple(slice(None, None, step) for step in self.conv.dilation)]
        weights = signals[self.W]
        twin = ConvInc(self.W, self.X, self.Y, plain)
        known = {signal: signals[signal] for signal in (self.X, self.Y)}
        convolve = twin.make_step({**known, self.W: kernel}, dt, rng)

        def step() -> None:
            taken[...] = weights  # they may have been written between runs
            convolve()

        return step


@Builder.register(DilatedConvolution)
def build_dilated_convolution(
    model: Model,
    transform: DilatedConvolution,
    sig_in: Signal,
    decoders: Any = None,
    encoders: Any = None,
    rng: Any = np.random,
) -> tuple[Signal, Signal]:
    """Build the operator of a dilated convolution."""
    if decoders is not None:
        raise ValidationError(
            "A convolution takes the output of nodes or neurons; decoded values of an "
            "ensemble have no shape",
            attr="transform",
        )
    weights = Signal(
        transform.sample(rng=rng), readonly=True, name=f"{transform}.weights"
    )
    weighted = Signal(shape=transform.size_out, name=f"{transform}.weighted")
    model.add_op(Reset(weighted))
    model.add_op(DilatedConvInc(weights, sig_in, weighted, transform))
    return weighted, weights
