"""`lookreel labels …`: each module parses, calls one function, prints and sets the exit code."""

import typer

from labelcraft.cli.compare import add_compare
from labelcraft.cli.explain import add_explain
from labelcraft.cli.report import add_report
from labelcraft.cli.train import add_train


def make_app() -> typer.Typer:
    """The commands of the labels."""
    app = typer.Typer(help="Labels made of watch time and feedback, compared and learned.", no_args_is_help=True)

    @app.callback()
    def _labels() -> None:
        """Labels made of watch time and feedback, compared and learned."""

    add_train(app)
    add_compare(app)
    add_report(app)
    add_explain(app)
    return app
