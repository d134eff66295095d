"""A fake OpenAI-compatible server on loopback; an exact model answers behind it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from togi.lm.base import Sampling
from togi.lm.exact import END, ExactModel
from togi.rows.types import Message

MODEL = ExactModel.from_text("the cat sat on the mat. the dog sat on the cat.", order=3)


@dataclass
class Answer:
    """What the server does with one request; `kind` is ok, error, stall, cut or trickle."""

    kind: str = "ok"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class FakeServer:
    """Requests seen, replies paid for, and the plan: request number and body -> `Answer`."""

    url: str
    plan: Callable[[int, dict], Answer] = lambda number, body: Answer()
    seen: list[tuple[str, dict, dict]] = field(default_factory=list)
    paid: list[dict] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    active: int = 0
    most_active: int = 0
    pause: float = 0.0
    echoes: bool = True
    counts: bool = True
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def completion(server: FakeServer, body: dict) -> dict:
    """Answer as the OpenAI interfaces do, one token a byte."""
    sampling = Sampling(
        max_tokens=body["max_tokens"],
        temperature=body.get("temperature", 1.0),
        stop=tuple(body.get("stop", ())),
        seed=body.get("seed", 0),
    )
    chat = "messages" in body
    prompt = (
        tuple(Message(m["role"], m["content"]) for m in body["messages"])
        if chat
        else body["prompt"]
    )
    [[drawn]] = MODEL.generate([prompt], sampling)
    ids = [i for i in drawn.token_ids if i != END]
    texts = [chr(i) for i in ids]
    values = [float(v) for v in drawn.logprobs[: len(ids)]]
    choice: dict[str, Any] = {"index": 0, "finish_reason": drawn.finish}
    if chat:
        choice["message"] = {"role": "assistant", "content": drawn.text}
        if body.get("logprobs"):
            pairs = zip(texts, values, strict=True)
            choice["logprobs"] = {"content": [{"token": t, "logprob": v} for t, v in pairs]}
        prompt_tokens = sum(len(m.content) for m in prompt)
    else:
        choice["text"] = drawn.text
        prompt_tokens = len(prompt)
        if body.get("logprobs") is not None:
            tops = [None] * len(texts)
            if body.get("echo") and server.echoes:
                rows = [MODEL.probabilities(prompt[:i].encode()) for i in range(len(prompt))]
                echoed = [float(np.log(r[ord(c)])) for r, c in zip(rows, prompt, strict=True)]
                best = [int(r.argmax()) for r in rows]
                pairs = zip(rows, best, strict=True)
                tops = [{chr(b): float(np.log(r[b]))} for r, b in pairs] + tops
                texts, values = [*prompt, *texts], [*echoed, *values]
            choice["logprobs"] = {
                "tokens": texts,
                "token_logprobs": values,
                "top_logprobs": tops,
                "text_offset": [0, *np.cumsum([len(t) for t in texts]).tolist()][:-1],
            }
    reply: dict[str, Any] = {"choices": [choice]}
    if server.counts:
        reply["usage"] = {"prompt_tokens": prompt_tokens, "completion_tokens": len(ids)}
    return reply


class Handler(BaseHTTPRequestHandler):
    """Acts out the plan."""

    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def do_POST(self) -> None:
        """Answer one request."""
        fake = self.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with fake.lock:
            number = len(fake.seen)
            fake.seen.append((self.path, body, dict(self.headers)))
            fake.times.append(time.monotonic())
            fake.active += 1
            fake.most_active = max(fake.most_active, fake.active)
        try:
            time.sleep(fake.pause)
            self._act(fake.plan(number, body), body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up, as some tests want
        finally:
            with fake.lock:
                fake.active -= 1

    def _act(self, answer: Answer, body: dict) -> None:
        fake = self.fake
        if answer.kind == "stall":
            fake.closing.wait(20)
            self.close_connection = True
            return
        if answer.kind == "error":
            self._send(json.dumps(answer.body).encode(), answer.status, answer.headers)
            return
        data = json.dumps(answer.body or completion(fake, body)).encode()
        if answer.kind == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        if answer.kind == "trickle":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not fake.closing.wait(0.03):
                self.wfile.write(b" ")
                self.wfile.flush()
            self.close_connection = True
            return
        with fake.lock:
            fake.paid.append(body)
        self._send(data, answer.status, answer.headers)

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Quiet(ThreadingHTTPServer):
    """Threads that do not outlive the test; a big backlog."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that the client drops are part of the tests."""


@contextmanager
def serve() -> Iterator[FakeServer]:
    """Run a fake server for the length of the block."""
    handler = type("Bound", (Handler,), {})
    server = Quiet(("127.0.0.1", 0), handler)
    fake = FakeServer(url=f"http://127.0.0.1:{server.server_port}/v1")
    handler.fake = fake
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
