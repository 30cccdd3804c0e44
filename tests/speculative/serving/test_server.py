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


def test_serving_upstreams_needs_no_torch(tmp_path):
    """The whole command up to the upstreams, none of which answers."""
    code = "import sys, runpy; sys.modules['torch'] = None; runpy.run_module('speculative.cli', run_name='__main__')"
    (tmp_path / "pool.toml").write_text(
        '[encoder]\nkind = "hashing"\nn_features = 8\n[[arms]]\nkind = "upstream"\nname = "a"\nurl = "http://127.0.0.1:9"'
    )
    command = [sys.executable, "-c", code, "serve", str(tmp_path / "pool.toml"), "--state", str(tmp_path / "state")]
    done = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, check=False)
    assert "error: no upstream answers" in done.stderr
