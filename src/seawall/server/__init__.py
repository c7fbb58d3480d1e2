"""The ASGI application of the daemon: health, metrics, state, control, and the page."""

from seawall.server.app import build_app
from seawall.server.parts import Parts

__all__ = ["Parts", "build_app"]
