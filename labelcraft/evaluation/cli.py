"""`lookreel evaluate …`: each command parses, calls one function, prints and sets the exit code."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from labelcraft.evaluation.cli_propensities import add_propensities
from labelcraft.evaluation.cli_run import add_run

if TYPE_CHECKING:
    from labelcraft.evaluation.lists import Content


def make_app(open_content: "Callable[[str], Content] | None" = None) -> typer.Typer:
    """The commands of the evaluation.

    Args:
        open_content: opens a store of content embeddings by its place; only `indexing` knows stores.
    """
    app = typer.Typer(help="Systems and examination measured on logged feeds.", no_args_is_help=True)

    @app.callback()
    def _evaluate() -> None:
        """Systems and examination measured on logged feeds."""

    add_run(app, open_content)
    add_propensities(app)
    return app
