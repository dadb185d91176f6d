"""One message in, committed, out; one refused; one rule changed while mail flows."""
from harness import Gate, Sink, strip_trace

MESSAGE = b"From: a@client.example\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nfirst line\r\n.dot\r\n"


def send(gate, to="b@example.com", message=MESSAGE):
    with gate.smtp() as client:
        client.sendmail("a@client.example", [to], message)


def test_a_message_is_relayed_byte_for_byte():
    with Sink() as sink, Gate(sink.address) as gate:
        send(gate)
        sender, rcpts, body = sink.wait(1)[0]
        assert (sender, rcpts) == ("a@client.example", ["b@example.com"])
        assert strip_trace(body) == MESSAGE


def test_a_foreign_recipient_is_refused():
    with Gate() as gate, gate.smtp() as client:
        client.ehlo()
        client.mail("a@client.example")
        code, text = client.rcpt("x@elsewhere.example")
        assert code == 550 and b"5.7.1" in text


def test_an_acknowledged_message_outlives_the_gateway():
    with Sink() as sink:
        gate = Gate("127.0.0.1:9", MOONGATE_RETRY="1s")
        with gate:
            send(gate)
        gate.env["MOONGATE_NEXT_HOP"] = sink.address
        with gate:
            gate.cli("queue", "retry", "all", "--reroute", check=False)
            assert strip_trace(sink.wait(1, 30)[0][2]) == MESSAGE
