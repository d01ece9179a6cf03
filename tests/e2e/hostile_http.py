"""Requests that are not HTTP, not quite HTTP, or HTTP cut in unlucky places; and bodies made to hurt a JSON parser."""
import json
import random
import socket
import time

from serving import http_request

CHAT = "/v1/chat/completions"
HEAD = "Host: localhost\r\n"

# (what, bytes): each must be answered with 4xx or 5xx, or with the end of the connection.
BAD = [
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n"),
    ("no version", b"GET /health\r\n\r\n"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("unknown version", b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n"),
    ("space before the colon", f"GET /health HTTP/1.1\r\n{HEAD}X : a\r\n\r\n".encode()),
    ("NUL in a header", f"GET /health HTTP/1.1\r\n{HEAD}X: a\0b\r\n\r\n".encode()),
    ("NUL in the path", b"GET /hea\0lth HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("header too long", f"GET /health HTTP/1.1\r\n{HEAD}X: {'a' * 20000}\r\n\r\n".encode()),
    ("path too long", f"GET /{'a' * 20000} HTTP/1.1\r\n{HEAD}\r\n".encode()),
    ("too many headers", f"GET /health HTTP/1.1\r\n{HEAD}{''.join(f'X{i}: a' + chr(13) + chr(10) for i in range(200))}\r\n".encode()),
    ("negative length", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: -1\r\n\r\n".encode()),
    ("length overflow", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: 99999999999999999999\r\n\r\n".encode()),
    ("two lengths", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}".encode()),
    ("length and chunks", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()),
    ("body over the limit", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: 40000000\r\n\r\n".encode()),
    ("bad chunk size", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n".encode()),
    ("chunk size overflow", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".encode()),
    ("unknown coding", f"POST {CHAT} HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip\r\n\r\n".encode()),
    ("unknown method", f"BREW {CHAT} HTTP/1.1\r\n{HEAD}\r\n".encode()),
    ("path from outside", f"GET /../../etc/passwd HTTP/1.1\r\n{HEAD}\r\n".encode()),
    ("another host", b"GET /health HTTP/1.1\r\nHost: attacker.example\r\n\r\n"),
]

GOOD = {"messages": [{"role": "user", "content": "Hello, world"}], "max_tokens": 3, "temperature": 0}


def read_reply(connection, seconds=30):
    """Status and body; status 0 when the connection ended without a reply."""
    connection.settimeout(seconds)
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return 0, b""
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            more = connection.recv(65536)
            if not more:
                break
            body += more
        return int(head.split(b" ")[1]), body
    except ConnectionError:
        return 0, b""


def send_once(server, request, then_close=True):
    with server.connect() as connection:
        try:
            connection.sendall(request)
            if then_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while it was still being sent
        return read_reply(connection)


def check_split(server):
    """A good request cut at every place gives the same reply; so do several in one write."""
    request = http_request(CHAT, GOOD)
    expected = json.loads(send_once(server, request, then_close=False)[1])["choices"][0]["message"]
    with server.connect() as connection:
        for cut in range(1, len(request), 3):
            connection.sendall(request[:cut])
            time.sleep(0.0005)
            connection.sendall(request[cut:])
            status, body = read_reply(connection)
            assert status == 200 and json.loads(body)["choices"][0]["message"] == expected, f"cut at byte {cut}"
        for byte in request:
            connection.sendall(bytes([byte]))
        assert read_reply(connection)[0] == 200
    with server.connect() as connection:
        connection.sendall(request * 5)
        data = b""
        connection.settimeout(30)
        while data.count(b"HTTP/1.1 200") < 5 or data.count(b'"total_tokens"') < 5:
            more = connection.recv(65536)
            assert more, "pipelined requests were not all answered"
            data += more
    return len(request) // 3


def run(server, num_random):
    statuses = {}
    for name, request in BAD:
        status, _ = send_once(server, request, then_close=False) if b"40000000" in request else send_once(server, request)
        assert status == 0 or 400 <= status < 600, f"{name}: {status}"
        assert status != 500, f"{name}: {status}"
        statuses[status] = statuses.get(status, 0) + 1
    cuts = check_split(server)
    # A good request with random damage: any status but 500, and the server goes on.
    chance = random.Random(1)
    good = http_request(CHAT, GOOD)
    for number in range(num_random):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(damaged))
            action = chance.random()
            if action < 0.5:
                damaged[at] = chance.randrange(256)
            elif action < 0.75:
                del damaged[at:at + chance.randint(1, 10)]
            else:
                damaged[at:at] = bytes(chance.choice((b"\r\n", b"\0", b"\xff", b"{", b"\"", b": ", b"9" * 30)))
        status, body = send_once(server, bytes(damaged))
        assert status != 500, (number, bytes(damaged), body)
        statuses[status] = statuses.get(status, 0) + 1
    return {"bad_requests": len(BAD), "splits": cuts, "damaged": num_random, "statuses": {str(k): v for k, v in sorted(statuses.items())}}


def bombs():
    def chat(content):
        return ('{"messages":[{"role":"user","content":' + content + '}],"max_tokens":1}').encode()

    depth = 200_000
    yield "deep arrays", b"[" * depth + b"]" * depth
    yield "deep objects", b'{"a":' * depth + b"1" + b"}" * depth
    yield "unclosed", b"[" * 4_000_000
    yield "deep inside a field", chat("[" * 100_000 + "]" * 100_000)
    yield "deep tools", b'{"messages":[{"role":"user","content":"a"}],"tools":' + b"[" * 1000 + b"]" * 1000 + b"}"
    yield "deep schema", ('{"messages":[{"role":"user","content":"a"}],"max_tokens":5,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":'
                          + '{"type":"array","items":' * 60 + "{}" + "}" * 60 + "}}}").encode()
    yield "many keys", ("{" + ",".join(f'"k{i}":0' for i in range(300_000)) + "}").encode()
    yield "many messages", ('{"messages":[' + ",".join(['{"role":"user","content":"a"}'] * 100_000) + "]}").encode()
    yield "long number", chat("1" * 1_000_000)
    yield "huge exponent", b'{"messages":[{"role":"user","content":"a"}],"temperature":1e99999}'
    yield "long prompt", chat('"' + "word " * 1_000_000 + '"')
    yield "escapes", chat('"' + "\\u0000" * 500_000 + '"')
    yield "lone surrogates", chat('"\\ud800\\ud800"')
    yield "not UTF-8", chat('"').replace(b'"}]', b"\xff\xfe\xc0\x80\"}]")
    yield "many stops", ('{"messages":[{"role":"user","content":"a"}],"stop":[' + ",".join(['"x"'] * 100_000) + "]}").encode()
    yield "many choices", b'{"messages":[{"role":"user","content":"a"}],"n":100000000}'
    yield "bias", ('{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"logit_bias":{' + ",".join(f'"{i}":1' for i in range(200_000)) + "}}").encode()
    yield "regex", b'{"messages":[{"role":"user","content":"a"}],"guided_regex":"(((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000})","max_tokens":1}'


def run_json_bombs(server):
    before, slowest, statuses = server.rss_kib(), 0.0, {}
    for name, body in bombs():
        start = time.monotonic()
        try:
            status, reply = send_once(server, f"POST {CHAT} HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body, then_close=False)
        except TimeoutError:
            raise AssertionError(f"{name}: no reply") from None
        seconds = time.monotonic() - start
        assert status in (0, 200, 400, 413, 422), f"{name}: {status} {reply[:300]}"
        assert seconds < 20, f"{name}: {seconds:.1f} s"
        slowest = max(slowest, seconds)
        statuses[name] = status
    growth = server.rss_kib() - before
    assert growth < 512 * 1024, f"{growth} KiB more than before"
    return {"bombs": len(statuses), "slowest_s": round(slowest, 2), "growth_kib": growth, "accepted": [name for name, status in statuses.items() if status == 200]}
