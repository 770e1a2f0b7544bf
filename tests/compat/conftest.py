"""The fixtures of the integration tests: fleets of containers, and the command that runs against them."""

from tests.integration.conftest import _no_sockets_left, fleet_of, hostmend

__all__ = ("_no_sockets_left", "fleet_of", "hostmend")
