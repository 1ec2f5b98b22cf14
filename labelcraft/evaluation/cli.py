"""`lookreel evaluate …`: each command parses, calls one function, prints and sets the exit code."""

import typer

from labelcraft.evaluation.cli_propensities import add_propensities


def make_app() -> typer.Typer:
    """The commands of the evaluation."""
    app = typer.Typer(help="Systems and examination measured on logged feeds.", no_args_is_help=True)

    @app.callback()
    def _evaluate() -> None:
        """Systems and examination measured on logged feeds."""

    add_propensities(app)
    return app
