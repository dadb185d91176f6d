"""What the machine grants, and what the gateway makes of it."""
import contextlib
import resource
import socket

from harness import Gate


@contextlib.contextmanager
def soft_limit(what, value):
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_a_low_soft_limit_of_descriptors_does_not_limit_connections():
    with soft_limit(resource.RLIMIT_NOFILE, 128):
        gate = Gate().start()
    try:
        with contextlib.ExitStack() as open_ones:
            for _ in range(300):
                peer = open_ones.enter_context(socket.create_connection(("127.0.0.1", gate.port), timeout=20))
                assert peer.recv(100).startswith(b"220 ")
    finally:
        gate.stop()
