"""A headless Chromium, driven over the plain WebDriver protocol."""

import re
import shutil
import subprocess
import time
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
STARTS_WITHIN_S = APPEARS_WITHIN_S = 30.0
KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015", "enter": "\ue007", "tab": "\ue004"}


class Browser:
    """One window of a running browser."""

    def __init__(self, session):
        self._session = session

    def open(self, address):
        self._do("url", url=address)

    def press(self, *keys):
        """Press keys on the page, each a character or a name of `KEYS`."""
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def run(self, script):
        """What a script returns."""
        return self._do("execute/sync", script=script, args=[])

    def text(self, id):
        return self.run(f"return document.getElementById('{id}').innerText")

    def wait_for(self, id, words):
        """Wait until an element reads *words*."""
        give_up_s = time.monotonic() + APPEARS_WITHIN_S
        while (seen := self.text(id)) != words:
            assert time.monotonic() < give_up_s, f"{id} reads {seen!r}, not {words!r}"
            time.sleep(0.03)

    def wait_until_true(self, script):
        give_up_s = time.monotonic() + APPEARS_WITHIN_S
        while not self.run(script):
            assert time.monotonic() < give_up_s, script
            time.sleep(0.03)

    def screenshot(self, path: Path):
        path.write_bytes(b64decode(self._session.get("/screenshot").json()["value"]))

    def console(self):
        """What the page complained about."""
        return self._do("se/log", type="browser")

    def _do(self, what, **body):
        answer = self._session.post(f"/{what}", json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer


@contextmanager
def running_browser(profile, width=1280, height=800, *flags):
    """Yield a browser with an empty profile in the folder *profile*."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver on the path")
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
            arguments = [*FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            asked = {
                "browserName": "chrome",
                "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            sessions = f"http://127.0.0.1:{port}/session"
            with httpx.Client(timeout=STARTS_WITHIN_S) as client:
                begun = client.post(sessions, json={"capabilities": {"alwaysMatch": asked}}).json()["value"]
                assert "sessionId" in begun, begun
                client.base_url = f"{sessions}/{begun['sessionId']}"
                try:
                    yield Browser(client)
                finally:
                    client.delete(f"{sessions}/{begun['sessionId']}")
        finally:
            driver.terminate()
