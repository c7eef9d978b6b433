"""``ForwardOnly``: the forward messages and ``total``, nothing backward: filtering, scoring, prediction."""

from msgpass.schedule.base import Schedule


class ForwardOnly(Schedule):
    """Half the work of :class:`Sequential` where only ``total`` or the filter is wanted."""

    backward = False
