"""A server that speaks the chat protocol of OpenAI and vLLM, each of its models with another habit.

As a process of its own: `python -m tests.judge.chat_server` prints its port and serves until its input ends. `/records`
has what was asked, `/reset` forgets it. Below `/locked` it wants `KEY`.
"""

import contextlib
import json
import math
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "the-right-key"
LABELS = ("excellent_match", "good_match", "partial_match", "poor_match", "no_match")
N_INPUT, N_OUTPUT = 1000, 3

# As Qwen's vocabulary has it: half a word, then the rest. One thirty-second goes to a word that begins no label.
HALF_WORDS = (("ex", 1 / 2), ("good", 1 / 4), ("partial", 1 / 8), ("po", 1 / 16), ("The", 1 / 32))
WHOLE_LABELS = (("no_match", 1 / 2), ("poor_match", 1 / 4), ("partial_match", 1 / 8), ("good_match", 1 / 16))
LETTERS = (("p", 1 / 2), ("e", 1 / 4), ("g", 1 / 8), ("n", 1 / 8))
AFTER_P = (("o", 3 / 4), ("a", 1 / 4))


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.records, self.counts, self.n_open, self.most_open = [], {}, 0, 0


STATE = State()


class Answer(Exception):
    """Raised by a habit: another answer than a label."""

    def __init__(self, status, body, headers=(), cut=False):
        super().__init__(status)
        self.status, self.body, self.headers, self.cut = status, body, headers, cut


def error(status, message, headers=(), param=None):
    return Answer(status, {"error": {"message": message, "type": "BadRequestError", "param": param}}, headers)


def token(text, likeliest=()):
    listed = [{"token": other, "logprob": math.log(p), "bytes": list(other.encode())} for other, p in likeliest]
    return {"token": text, "logprob": math.log(dict(likeliest).get(text, 1.0)), "bytes": [], "top_logprobs": listed}


def chat(text, tokens=(), finish="stop", usage=True, n_input=N_INPUT, n_output=N_OUTPUT, **message):
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    choice["logprobs"] = {"content": list(tokens)} if tokens else None
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return body | ({"usage": {"prompt_tokens": n_input, "completion_tokens": n_output}} if usage else {})


def excellent():
    return chat("excellent_match", [token("ex", HALF_WORDS), token("cellent"), token("_match")])


def busy(n, asked):
    if n == 1:
        raise error(429, "too many requests", [("Retry-After", "0.4")])
    return excellent()


def flaky(n, asked):
    if n <= 2:
        raise error(500, "out of luck")
    return excellent()


def broken(n, asked):
    raise error(500, "out of memory")


def slow(n, asked):
    time.sleep(0.6)
    return excellent()


def cut(n, asked):
    raise Answer(200, excellent(), cut=True)


def cut_once(n, asked):
    return cut(n, asked) if n == 1 else excellent()


def garbage(n, asked):
    raise Answer(200, b'{"choices": [{"message": oops' + b"!" * 500)


def knows(*fields):
    """A strict server: 400 to any field of a choice but these."""

    def habit(n, asked):
        for field in ("structured_outputs", "guided_choice", "regex"):
            if field in asked and field not in fields:
                raise error(400, f"Unrecognized request argument supplied: {field}")
        return excellent() if any(field in asked for field in fields) else chat("It is a good_match.")

    return habit


def heeds(field):
    """A server that ignores what it does not know, as vLLM does."""

    def habit(n, asked):
        return excellent() if field in asked else chat("I would call this an excellent_match.")

    return habit


def newest(n, asked):
    if "max_tokens" in asked:
        raise error(400, "Unsupported parameter: use 'max_completion_tokens' instead.", param="max_tokens")
    if "logprobs" in asked:
        raise error(400, "You are not allowed to request logprobs from this model")
    return chat("excellent_match")


def moody(n, asked):
    if "odd" in json.dumps(asked["messages"]):
        raise error(400, f"Invalid request: {json.dumps({**asked, 'messages': '...'})}")
    return excellent()


def leaky(n, asked):
    if "odd" in json.dumps(asked["messages"]):
        raise Answer(200, f"Hello {KEY}".encode())
    raise error(400, f"Not with {KEY}")


def too_long(n, asked):
    if "too long" in json.dumps(asked["messages"]):
        raise error(400, "This model's maximum context length is 4096 tokens. " + "x" * 500)
    return excellent()


def poisoned(n, asked):
    return broken(n, asked) if "poison" in json.dumps(asked["messages"]) else excellent()


def by_title(n, asked):
    """The label whose number is in the title of the video; the first video takes the longest."""
    number = int(re.findall(r"video (\d)", json.dumps(asked["messages"]))[-1])
    time.sleep(0.05 * (5 - number))
    return chat(LABELS[number])


def steady(n, asked):
    time.sleep(0.1)
    return excellent()


def wordy(n, asked):
    tokens = [token("Well"), token(","), token(" ", ((" ", 1.0),)), token("good", (("good", 3 / 4), ("no", 1 / 4)))]
    return chat("Well, good_match", [*tokens, token("_match")])


HABITS = {
    "halves": lambda n, asked: excellent(),
    "wholes": lambda n, asked: chat("no_match", [token("no_match", WHOLE_LABELS)]),
    "letters": lambda n, asked: chat("poor_match", [token("p", LETTERS), token("o", AFTER_P), token("or_match")]),
    "certain": lambda n, asked: chat("good_match"),
    "wordy": wordy,
    "chatter": lambda n, asked: chat("I cannot say. " + "Really. " * 100),
    "several": lambda n, asked: chat("good_match or poor_match"),
    "empty": lambda n, asked: chat(None),
    "endless": lambda n, asked: chat("excellent_ma", finish="length"),
    "filtered": lambda n, asked: chat("", finish="content_filter"),
    "unwilling": lambda n, asked: chat(None, refusal="I do not judge clothes."),
    "uncounted": lambda n, asked: chat("good_match", usage=False),
    "busy": busy, "flaky": flaky, "broken": broken, "slow": slow, "cut": cut, "cut_once": cut_once, "garbage": garbage,
    "vllm_0.11": knows("guided_choice"), "openai": knows(), "old_and_silent": heeds("guided_choice"),
    "sglang": heeds("regex"), "newest": newest, "moody": moody, "leaky": leaky,
    "too_long": too_long, "poisoned": poisoned, "by_title": by_title, "steady": steady,
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/records":
            return self._send(200, {"records": STATE.records, "most_open": STATE.most_open})
        if self._is_locked():
            return self._send(401, {"error": {"message": f"wrong: {self.headers.get('Authorization')}"}})
        # As vLLM has it: created now, whenever one asks.
        cards = [{"id": name, "created": time.time_ns(), "root": f"/models/{name}"} for name in HABITS]
        return self._send(200, {"object": "list", "data": cards})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/reset":
            STATE.reset()
            return self._send(200, {})
        if self._is_locked():
            return self._send(401, {"error": {"message": f"wrong: {self.headers.get('Authorization')}"}})
        asked = json.loads(body)
        with STATE.lock:
            n = STATE.counts[asked["model"]] = STATE.counts.get(asked["model"], 0) + 1
            STATE.records.append({"at": time.monotonic(), "key": self.headers.get("Authorization"), "body": asked})
            STATE.n_open += 1
            STATE.most_open = max(STATE.most_open, STATE.n_open)
        try:
            status, answer, headers, is_cut = self._answer(n, asked)
        finally:
            with STATE.lock:
                STATE.n_open -= 1
        return self._send(status, answer, headers, is_cut)

    def _answer(self, n, asked):
        if asked["model"] not in HABITS:
            return 404, {"error": {"message": f"The model {asked['model']} does not exist."}}, (), False
        if (
            asked["messages"][-1]["content"]
            == "Name the evidence for this category in one sentence of at most 30 words."
        ):
            return 200, chat("Both are\nred.", n_input=N_INPUT + 50, n_output=4), (), False
        try:
            return 200, HABITS[asked["model"]](n, asked), (), False
        except Answer as other:
            return other.status, other.body, other.headers, other.cut

    def _is_locked(self):
        return self.path.startswith("/locked") and self.headers.get("Authorization") != f"Bearer {KEY}"

    def _send(self, status, body, headers=(), is_cut=False):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the asker has lost patience
            self.wfile.write(data[: len(data) // 2] if is_cut else data)
        self.close_connection = self.close_connection or is_cut


class ChatServer:
    """The process, and what it was asked."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.judge.chat_server"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def spec(self, model, path="/v1"):
        return f"endpoint:{self.root}{path},{model}"

    def records(self):
        return self._call("/records")["records"]

    def asked(self):
        """The bodies of all chats that were asked, in the order of their arrival."""
        return [record["body"] for record in self.records()]

    def most_open(self):
        return self._call("/records")["most_open"]

    def reset(self):
        self._call("/reset", b"{}")

    def _call(self, path, data=None):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.root + path, data, timeout=10) as answer:
            return json.load(answer)

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)  # noqa: T201
    sys.stdin.read()  # until whoever started this closes it, or ends
    server.shutdown()


if __name__ == "__main__":
    main()
