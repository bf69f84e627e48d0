"""Networks that run live: an observation in, an action out, and recordings on disk."""

from .latency import Latency, Report
from .loop import Loop
from .pace import Pace
from .playback import Playback
from .recording import Recording
from .windows import Windows

__all__ = ["Latency", "Loop", "Pace", "Playback", "Recording", "Report", "Windows"]
