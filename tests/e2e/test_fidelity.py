"""Every message goes through byte for byte behind the trace fields, or is refused; none is mangled (issue: Shown by 2)."""
import hashlib
import os
import shutil
import smtplib
import socket

from harness import Gate, Raw, Sink, corpus, folder, strip_trace, until

FOLDERS = ("mail-spamassassin-public", "mime-enmime", "mime-mail-parser", "mime-mimekit", "mime-ruby-mail", "mime-spamassassin")
LIMIT = 50 * 1024 * 1024


def crlf(data):
    """Line ends made CRLF: every LF that has no CR in front gets one."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def is_clean(data):
    rest = data.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest and b"\0" not in rest


def samples():
    for name in FOLDERS:
        for path in sorted(corpus(name).rglob("*")):
            if path.is_file() and path.suffix not in (".md", ".json", ".tsv"):
                data = crlf(path.read_bytes())
                yield f"{name}/{path.name}", data if data.endswith(b"\r\n") else data + b"\r\n"


def stuff(data):
    lines = data.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


class Client(Raw):
    """One message after the other on one connection, without any help from a library."""

    def transact(self, data, rcpt="to@example.com"):
        assert self.say("MAIL FROM:<from@client.example> BODY=8BITMIME")[0] == 250
        assert self.say(f"RCPT TO:<{rcpt}>")[0] == 250
        assert self.say("DATA")[0] == 354
        self.send(stuff(data))
        return self.reply()


def send_all(gate):
    """Every sample through one gateway: what was accepted by number, and what was refused."""
    accepted, refused = {}, []
    client = Client(gate.port)
    for number, (name, data) in enumerate(samples()):
        try:
            code, text = client.transact(data, f"n{number}@example.com")
        except (EOFError, ConnectionError):
            code, text = 0, "closed"
        if is_clean(data):
            assert code == 250, f"{name}: {text}"
            accepted[number] = (name, data)
        else:
            assert 500 <= code <= 599, f"{name} has bare CR, LF or NUL: {text}"
            refused.append(name)
        if number % 200 == 199 or code != 250:
            client.close()
            client = Client(gate.port)
    client.close()
    return accepted, refused


def test_every_corpus_message_reaches_a_sink_unchanged():
    with Sink() as sink, Gate(sink.address) as gate:
        accepted, refused = send_all(gate)
        assert accepted and refused
        got = {int(rcpts[0][1:].split("@")[0]): body for _, rcpts, body in sink.wait(len(accepted), 60)}
        assert got.keys() == accepted.keys()
        for number, (name, data) in accepted.items():
            assert got[number].endswith(data), name
            assert strip_trace(got[number][:-len(data)]) in (b"", b"\r\n"), name      # an empty line where there was no header


def test_every_corpus_message_reaches_a_maildir_unchanged():
    mail = folder() / "mail"
    mail.mkdir()
    os.chmod(mail, 0o777)
    with Gate(f"maildir:{mail}/{{local}}") as gate:
        accepted, _ = send_all(gate)
        until(lambda: sum(1 for _ in mail.glob("*/new/*")) >= len(accepted), "every file in its Maildir", 60)
        for number, (name, data) in accepted.items():
            files = list((mail / f"n{number}" / "new").iterdir())
            assert len(files) == 1, name
            assert files[0].read_bytes().replace(b"\r\n", b"\n").endswith(data.replace(b"\r\n", b"\n")), name
    shutil.rmtree(mail.parent)


def made(size):
    line = b"0123456789abcdef" * 4 + b"\r\n"
    head = b"Subject: big\r\nFrom: a@client.example\r\n\r\n"
    body = bytearray(head + line * ((size - len(head)) // len(line)))
    return bytes(body)


def test_big_messages_stream_through_unchanged():
    with Sink() as sink, Gate(sink.address) as gate:
        for size in (300 * 1024, 25 * 1024 * 1024, 50 * 1024 * 1024 - 4096):
            data = made(size)
            with gate.smtp(timeout=120) as client:
                client.sendmail("a@client.example", ["b@example.com"], data)
            _, _, body = sink.wait(1, 120)[0]
            assert hashlib.sha256(strip_trace(body)).digest() == hashlib.sha256(data).digest(), size
            sink.messages.clear()


def test_a_message_beyond_the_limit_is_refused_at_mail_and_after_data():
    with Gate() as gate:
        with gate.smtp() as client:
            client.ehlo()
            assert client.mail("a@client.example", [f"SIZE={LIMIT + 1}"])[0] == 552
        with gate.smtp(timeout=120) as client:
            try:
                client.sendmail("a@client.example", ["b@example.com"], made(LIMIT + 100000), mail_options=[])
                raise AssertionError("accepted")
            except smtplib.SMTPResponseException as why:
                assert why.smtp_code == 552, why
            except smtplib.SMTPServerDisconnected:
                pass


ENDS = (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\r.\r\n", b"\n.\r", b"\r\n.\r", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n")


def test_no_look_alike_of_the_end_of_data_smuggles_a_second_message():
    with Sink() as sink, Gate(sink.address) as gate:
        for end in ENDS:
            for cut in range(len(end) + 1):
                with Raw(gate.port) as client:
                    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    client.say("MAIL FROM:<a@client.example>")
                    client.say("RCPT TO:<b@example.com>")
                    client.say("DATA")
                    payload = b"Subject: one\r\n\r\nbody" + end
                    rest = b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n"
                    client.send(payload[:len(payload) - len(end) + cut])
                    client.send(payload[len(payload) - len(end) + cut:] + rest)
                    code, text = client.reply()
                    assert 500 <= code <= 599, (end, cut, text)
        assert sink.messages == []
