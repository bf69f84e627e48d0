"""The methods of the Simulator that rest on ``nengo_jax.params``, until it has them."""

import nengo_jax
from nengo_jax import params

if not hasattr(nengo_jax.Simulator, "save_params"):
    plain_init = nengo_jax.Simulator.__init__

    def init(self, *args, **kwargs):
        plain_init(self, *args, **kwargs)
        self._live = params.Live(self.model, self.signals)
        self.data._live = self._live

    nengo_jax.Simulator.__init__ = init

    def method(function):
        return lambda self, *args, **kwargs: function(self._live, *args, **kwargs)

    for name in params.__all__[1:]:
        setattr(nengo_jax.Simulator, name, method(getattr(params, name)))
