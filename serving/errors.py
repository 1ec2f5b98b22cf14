"""What a request did wrong, or what we cannot do now, as one answer: a code, a sentence and its cure."""

from collections.abc import Mapping


class ApiError(Exception):
    """Answered with *status*; *code* is for programs. It never names a path, a key or a trace."""

    def __init__(
        self, status: int, code: str, message: str, cure: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.cure = status, code, message, cure
        self.headers = headers or {}

    def body(self) -> dict[str, dict[str, str]]:
        """The answer's JSON."""
        return {"error": {"code": self.code, "message": self.message, "cure": self.cure}}


def not_allowed(message: str, cure: str = "") -> ApiError:
    """The request asks for what cannot be asked."""
    return ApiError(422, "invalid_request", message, cure)


def not_found(message: str) -> ApiError:
    """Nothing of that name is here."""
    return ApiError(404, "not_found", message)


def unavailable(message: str, code: str = "unavailable") -> ApiError:
    """It may be had again in a second; where *code* is `slow` it may still be done meanwhile."""
    return ApiError(503, code, message, "Try again.", {"Retry-After": "1"})
