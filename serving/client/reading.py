"""Reads answers: the model that a route promises, bytes or text, or the error that the server tells."""

from collections.abc import Callable
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from serving.answers import ErrorAnswer
from serving.client.errors import ApiCallError, foreign

M = TypeVar("M", bound=BaseModel)


def model_of(model: type[M]) -> Callable[[httpx.Response], M]:
    """A reader of JSON answers."""

    def read(response: httpx.Response) -> M:
        try:
            return model.model_validate_json(require_success(response).content)
        except ValidationError:
            raise foreign(response) from None  # the fault would show what was answered

    return read


def content_of(*kinds: str) -> Callable[[httpx.Response], bytes]:
    """A reader of files whose media type begins with one of *kinds*."""
    return lambda response: require_kind(response, kinds).content


def text_of(response: httpx.Response) -> str:
    """Plain text."""
    return require_kind(response, ("text/plain",)).text


def require_kind(response: httpx.Response, kinds: tuple[str, ...]) -> httpx.Response:
    """The response itself, if it holds what was asked for: a page to log in may come with status 200, too."""
    if not require_success(response).headers.get("content-type", "").startswith(kinds):
        raise foreign(response)
    return response


def media_of(response: httpx.Response) -> bytes:
    """A video's file or a part of it."""
    return require_media(response).content


def require_media(response: httpx.Response) -> httpx.Response:
    """The response itself, if it is a video, and no more of it than was asked for."""
    require_kind(response, ("video/", "image/"))
    if "range" in response.request.headers and response.status_code != httpx.codes.PARTIAL_CONTENT:
        message = "Where this file lies, the range that was asked for is not heeded."
        raise ApiCallError(response.status_code, "range_ignored", message, "Ask for the whole file.")
    return response


def require_success(response: httpx.Response) -> httpx.Response:
    """The response itself, if it is one of success.

    Raises:
        ApiCallError: as the server tells it, or that it is not our server's.
    """
    if response.is_success:
        return response
    try:
        told = ErrorAnswer.model_validate_json(response.content).error
    except ValidationError:
        raise foreign(response) from None
    raise ApiCallError(response.status_code, told.code, told.message, told.cure)
