"""Both services, simulated on loopback over real sockets: what the demo and the tests run against.

It imports nothing else of the bridge, so that it cannot share the bridge's mistakes.
"""

from bridge.sandbox.faults import Fault, Faults, Signal, later, packed
from bridge.sandbox.generate import generate
from bridge.sandbox.launch27 import Launch27
from bridge.sandbox.server import Sandbox
from bridge.sandbox.wingfield import CONNECT_TOKEN, ConnectToken, Wingfield
from bridge.sandbox.wire import Entry

__all__ = [
    "CONNECT_TOKEN",
    "ConnectToken",
    "Entry",
    "Fault",
    "Faults",
    "Launch27",
    "Sandbox",
    "Signal",
    "Wingfield",
    "generate",
    "later",
    "packed",
]
