"""Answers are read alike however they come, connections are used again, and what is no HTTP is a failure."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvloop

from speculative.serving.http_client import HttpClient
from speculative.serving.http_connection import HttpConnection
from speculative.serving.problem import ArmFailure

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 201 Made\r\ncontent-length: 6\r\n\r\nonetwo"


class Server:
    """Answers each request with the next pieces of a script; a piece None ends the connection."""

    def __init__(self, *answers):
        self.answers, self.heads, self.n_connections = list(answers), [], 0

    async def serve(self, reader, writer):
        self.n_connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
                for piece in self.answers.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def client_of(server):
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = HttpClient(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/base", {"x-key": "secret"}, 5.0)
    try:
        yield client
    finally:
        client.close()
        listening.close()


async def ask(client, within_s=5.0):
    parts = []
    async with client.asked("/v1/x", b"{}", within_s) as connection:
        while part := await connection.read(within_s):
            parts.append(part)
        return connection.status, b"".join(parts)


def asked(server, n=1, within_s=5.0):
    async def run():
        async with client_of(server) as client:
            return [await ask(client, within_s) for _ in range(n)]

    return asyncio.run(run())


@pytest.mark.parametrize("answer", [CHUNKED, SIZED])
def test_an_answer_does_not_depend_on_how_it_is_cut_and_its_connection_is_used_again(answer):
    server = Server([answer], [answer[i : i + 1] for i in range(len(answer))], [answer[:50], answer[50:]])
    assert asked(server, n=3) == [(200 if answer is CHUNKED else 201, b"onetwo")] * 3
    assert server.n_connections == 1
    assert server.heads[0].startswith(b"POST /base/v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"x-key: secret\r\n" in server.heads[0]


def test_an_answer_may_end_with_its_connection_and_be_announced_by_another():
    server = Server([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"one", b"two", None], [SIZED])
    assert asked(server, n=2) == [(200, b"onetwo"), (201, b"onetwo")]
    assert server.n_connections == 2


def test_a_connection_that_the_server_closed_while_nobody_used_it_is_replaced():
    server = Server([SIZED], [None], [SIZED])
    assert asked(server, n=2) == [(201, b"onetwo")] * 2
    assert server.n_connections == 2


def test_a_connection_that_says_more_than_was_asked_for_is_not_used_again():
    server = Server([SIZED + SIZED], [SIZED])
    assert asked(server, n=2) == [(201, b"onetwo")] * 2
    assert server.n_connections == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([None], "the connection broke"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\nonetwo", None], "the connection broke"),
        ([b"SSH-2.0-OpenSSH\r\n"], "no HTTP"),
        ([b"HTTP/1.1 200 OK\r\n", b"x: " + 70_000 * b"x"], "head has more than 65,536 bytes"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot hexadecimal\r\n"], "no HTTP"),
        ([CHUNKED[:-5], b""], "silent for 0.05 s"),
        ([b""], "no answer within 0.05 s"),
    ],
)
def test_what_is_no_whole_answer_is_a_failure_with_its_reason(answer, message):
    with pytest.raises(ArmFailure, match=message):
        asked(Server(answer, [SIZED]), within_s=0.05)


def test_a_server_that_nobody_runs_is_a_failure():
    with pytest.raises(ArmFailure, match="no connection"):
        asyncio.run(ask(HttpClient("http://127.0.0.1:1", {}, 5.0)))


def test_a_server_that_writes_faster_than_it_is_read_waits():
    n = 8 << 20

    async def run():
        server = Server([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % n, bytes(n)])
        async with client_of(server) as client, client.asked("/v1/x", b"{}", 5.0) as connection:
            await asyncio.sleep(0.05)
            first, size = len(await connection.read(5.0)), 0
            while part := await connection.read(5.0):
                size += len(part)
            return first, first + size

    first, size = asyncio.run(run())
    assert (size, first < n // 2) == (n, True)


class Transport(asyncio.Transport):
    """Takes what is written, and counts the pauses."""

    n_pauses = 0

    def abort(self):
        pass

    def write(self, data):
        pass

    def pause_reading(self):
        self.n_pauses += 1

    def resume_reading(self):
        self.n_pauses -= 1


def test_a_connection_that_was_told_to_wait_is_not_used_again_before_its_answer_is_read():
    async def run():
        connection, transport = HttpConnection(), Transport()
        connection.connection_made(transport)
        connection.send(b"")
        connection.data_received(b"HTTP/1.1 500 Failed\r\ncontent-length: %d\r\n\r\n" % 300_000 + bytes(300_000))
        unread = connection.is_reusable, transport.n_pauses
        await connection.read(5.0)
        return unread, (connection.is_reusable, transport.n_pauses)

    assert asyncio.run(run()) == ((False, 1), (True, 0))


def test_how_long_is_waited_counts_from_each_reading_anew():
    async def run():
        loop, connection = asyncio.get_running_loop(), HttpConnection()
        connection.connection_made(Transport())
        connection.send(b"")
        with pytest.raises(ArmFailure, match=r"no answer within 0\.01 s"):
            await connection.wait_for_head(0.01)
        connection.send(b"")
        loop.call_soon(connection.data_received, SIZED[:-3])
        await connection.wait_for_head(0.03)
        first = await connection.read(0.03)
        loop.call_later(0.05, connection.data_received, SIZED[-3:])
        return first, await connection.read(5.0)

    assert asyncio.run(run()) == (b"one", b"two")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_wait_of_less_than_a_loop_can_time_is_followed_by_a_longer_one(new_loop):
    async def run():
        connection = HttpConnection()
        connection.connection_made(Transport())
        connection.send(b"")
        connection.data_received(SIZED[:-6])
        await connection.wait_for_head(1e-4)
        asyncio.get_running_loop().call_later(0.01, connection.data_received, SIZED[-6:])
        return await connection.read(5.0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run()) == b"onetwo"


def passed_over(within_s, end):
    """Pass over an answer after its first piece; return how often it was given back, and the next answer.

    Args:
        within_s: longest time to the end.
        end: is done to the connection.
    """

    async def run():
        connection, given = HttpConnection(), []
        connection.connection_made(Transport())
        connection.send(b"")
        connection.data_received(CHUNKED[: CHUNKED.index(b"3\r\ntwo")])
        await connection.read(5.0)
        connection.pass_over(within_s)
        connection.give_back(given.append)
        assert not given
        end(connection)
        while not given:
            await asyncio.sleep(0.001)
        if not connection.is_reusable:
            return len(given), None
        connection.send(b"")
        connection.data_received(SIZED)
        return len(given), await connection.read(5.0)

    return asyncio.run(run())


def test_a_connection_whose_answer_is_passed_over_comes_back_once_that_has_ended_and_is_clean():
    rest = CHUNKED[CHUNKED.index(b"3\r\ntwo") :]
    assert passed_over(5.0, lambda connection: connection.data_received(rest)) == (1, b"onetwo")


@pytest.mark.parametrize(
    ("within_s", "end"),
    [
        (5.0, lambda connection: connection.connection_lost(None)),
        (0.01, lambda connection: connection.data_received(b"3\r\ntwo\r\n")),
    ],
)
def test_a_connection_whose_answer_does_not_end_is_not_used_again(within_s, end):
    assert passed_over(within_s, end) == (1, None)
