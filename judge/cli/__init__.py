"""`lookreel judge …`: each module parses, calls one function, prints and sets the exit code."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from judge.cli.label import add_label
from judge.cli.refine import add_refine
from judge.cli.reliability import add_reliability
from judge.cli.report import add_report
from judge.cli.run import add_run

if TYPE_CHECKING:
    from judge.pictures import Frames


def make_app(open_frames: "Callable[[str], Frames]") -> typer.Typer:
    """The commands of the judge.

    Args:
        open_frames: opens the frames of a store of videos by its place; only `indexing` knows stores.
    """
    app = typer.Typer(help="Grade recommendations with a vision-language model.", no_args_is_help=True)

    @app.callback()
    def _judge() -> None:
        """Grade recommendations with a vision-language model."""

    add_run(app, open_frames)
    add_label(app, open_frames)
    add_refine(app)
    add_report(app, open_frames)
    add_reliability(app, open_frames)
    return app
