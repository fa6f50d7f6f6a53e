"""Two servers that start at different moments never want one port."""

import socket

from tests.support.ports import free_ports


def test_nobody_gets_a_port_that_another_was_given_and_does_not_use_yet() -> None:
    first, second = free_ports(300), free_ports(300)
    assert not {*first} & {*second}


def test_ports_are_in_a_row_beside_what_others_listen_on() -> None:
    (before,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", before + 2))
        taken.listen()
        found = free_ports(4)
    assert found == [*range(found[0], found[0] + 4)]
    assert before + 2 not in found
