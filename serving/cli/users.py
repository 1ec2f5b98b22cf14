"""`lookreel users …`. The options that name places follow from the table of them in `serving.forget`."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.store import StateOption, opened_store
from serving.places import PLACES, default_paths, refuse_absent

if TYPE_CHECKING:
    from serving.erasers import ForgetInSnapshot
    from serving.forget import Forgetting

_HELP = """Forget users everywhere: those named and all on the erasure list, which is settled when all is done.

Exit code 3: a server still appends to a file of the log; run it again later. What a user did after they were erased
stays. The shop's own tables are not touched: leave the user out of them before anything is trained anew.
"""


def make_app(in_snapshot: "ForgetInSnapshot") -> typer.Typer:
    """The commands; *in_snapshot* is how a snapshot forgets, which its publisher knows."""
    app = typer.Typer(help="Look after what is known of users.", no_args_is_help=True)

    @app.callback()
    def users() -> None:
        """Look after what is known of users."""

    def forget_users(**given: Any) -> None:
        _forget(in_snapshot, **given)

    signature = _signature()
    setattr(forget_users, "__signature__", signature)  # noqa: B010 - functions have no such attribute by their type
    forget_users.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    app.command("forget", help=_HELP)(forget_users)
    return app


def _forget(
    in_snapshot: "ForgetInSnapshot",
    users: list[str] | None,
    events: str | None,
    state: Path,
    dry_run: bool,
    as_json: bool,
    **places: list[str] | None,
) -> None:
    from retrieval.config import load_config
    from retrieval.console import EXIT_QUARANTINED, to_json
    from serving.forget import forget
    from serving.identity import hasher

    named = {name: given for name, given in places.items() if given}
    refuse_absent(named)
    paths = default_paths(state) | {"snapshot": [str(load_config().path("snapshot", None))]} | named
    with opened_store(events or f"sqlite:///{state / 'events.db'}") as store:
        done = forget(store, users or [], paths, hasher(state), in_snapshot=in_snapshot, dry_run=dry_run)
    print(to_json(done) if as_json else _words(done, dry_run))
    raise typer.Exit(EXIT_QUARANTINED if done.left_open else 0)


def _words(done: "Forgetting", dry_run: bool) -> str:
    verb = "would go" if dry_run else "went"
    lines = [f"{done.users} entries of the erasure list, {done.settled} settled now."]
    for name, erased in done.places.items():
        lines.append(f"  {PLACES[name].what:<44} {erased.rows} rows of {erased.files} files {verb}")
    if done.left_open:
        lines.append(f"A server still appends to {done.left_open} files. Next: run this again, at the latest tomorrow.")
    elif dry_run:
        lines.append("Next: run this again without --dry-run.")
    return "\n".join(lines)


def _signature() -> inspect.Signature:
    """The command's parameters, one for each place among them: Typer reads options off a signature."""
    places = {
        place.name: Annotated[
            list[str] | None,
            typer.Option(place.option, help=f"{place.what}: {place.kind}; repeat.", show_default=place.default),
        ]
        for place in PLACES.values()
    }
    options: dict[str, tuple[Any, Any]] = {
        "users": (Annotated[list[str] | None, typer.Argument(help="Whom to erase now.")], None),
        "events": (
            Annotated[
                str | None,
                typer.Option("--events", envvar="LOOKREEL_EVENTS", help="The event store.", show_default="of --state"),
            ],
            None,
        ),
        "state": (StateOption, Path("serving")),
        **{name: (option, None) for name, option in places.items()},
        "dry_run": (Annotated[bool, typer.Option("--dry-run", help="Only count.")], False),
        "as_json": (Annotated[bool, typer.Option("--json", help="Print JSON.")], False),
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, keyword, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]
    return inspect.Signature(parameters)
