"""What a server sees to before it serves."""

import socket
import subprocess
import sys
from contextlib import ExitStack, closing

import pytest

from speculative.serving.listening import bound_socket


def test_a_connection_sends_a_first_token_without_waiting_for_its_headers_to_be_acknowledged():
    with bound_socket("127.0.0.1", 0) as listening, ExitStack() as stack:
        with pytest.raises(ConnectionRefusedError):  # who comes before it serves is not kept waiting
            socket.create_connection(listening.getsockname())
        listening.listen()
        stack.enter_context(closing(socket.create_connection(listening.getsockname())))
        served = stack.enter_context(closing(listening.accept()[0]))
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_serving_upstreams_needs_no_torch():
    asked = "import sys, speculative.serving.server, speculative.serving.upstream; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
