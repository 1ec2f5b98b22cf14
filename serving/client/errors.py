"""What goes wrong with a call, in one sentence. Nothing here names the key, a path, or what an answer holds."""

import httpx

from retrieval.errors import UserFacingError

Outcome = httpx.Response | httpx.RequestError
"""What became of one try."""


class ApiCallError(UserFacingError):
    """The API refused a call, or gave no answer that can be used.

    *status* is HTTP's, None where no answer came; *code* is the server's, or one of ours: no_answer, foreign_answer.
    *message* says what happened, *cure* what to do.
    """

    def __init__(self, status: int | None, code: str, message: str, cure: str = "") -> None:
        super().__init__(message, cure)
        self.status = status
        self.code = code

    def __str__(self) -> str:
        head = self.code if self.status is None else f"{self.status} {self.code}"
        return f"{head}: {self.message} {self.cure}".rstrip()

    def __reduce__(self) -> tuple[type, tuple[int | None, str, str, str]]:  # type: ignore[override]  # it has two more
        return type(self), (self.status, self.code, self.message, self.cure)


_WORDS: tuple[tuple[type[httpx.RequestError], str], ...] = (
    (httpx.ConnectTimeout, "cannot be reached in time"),
    (httpx.TimeoutException, "does not answer in time"),
    (httpx.ConnectError, "cannot be reached"),
    (httpx.NetworkError, "broke the connection off"),
    (httpx.RemoteProtocolError, "broke the connection off"),
    (httpx.TooManyRedirects, "sends us from one address to the next"),
)


def no_answer(error: httpx.RequestError, base_url: str, tried: int) -> ApiCallError:
    """No answer came, after so many tries."""
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "does not speak HTTP as we do")
    tries = "1 try" if tried == 1 else f"{tried} tries"
    return ApiCallError(None, "no_answer", f"{base_url} {words} ({tries}).", "See that it runs, and is the right one.")


def foreign(response: httpx.Response) -> ApiCallError:
    """Something answered that is not our API: a proxy, or the server of somebody else."""
    kind = response.headers.get("content-type", "")[:50] or "no type"
    message = f"The answer with status {response.status_code} and {kind} is not one of the Lookreel API."
    return ApiCallError(response.status_code, "foreign_answer", message, "Check the address, and what lies between.")
