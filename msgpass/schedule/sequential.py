"""``Sequential``: all forward messages in order, kept, then all backward messages against it. The default."""

from msgpass.schedule.base import Schedule


class Sequential(Schedule):
    """Every message exactly; memory for all forward messages."""
