"""`lookreel labels explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelcraft.cli.options import REPORT, AsJson, require_extras

if TYPE_CHECKING:
    from labelcraft.explain import Explanation


def add_explain(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("explain")
    def explain_command(
        folder: Annotated[Path, typer.Argument(help="Folder of a saved label.")] = Path("label"),
        out: Annotated[
            Path | None, typer.Option("--out", help="Folder of the map; by default beside the label.")
        ] = None,
        watch: Annotated[
            float | None, typer.Option("--watch", help="Seconds of watch time that the map reaches to.")
        ] = None,
        duration: Annotated[
            float | None, typer.Option("--duration", help="Seconds of duration that the map reaches to.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Draw what a label says of each watch time and duration, without explicit feedback and with each kind."""
        require_extras(*REPORT)
        from labelcraft.explain import explain_folder
        from retrieval.console import to_json

        made, page = explain_folder(folder, out or folder.with_name(f"{folder.name}-explained"), watch, duration)
        print(to_json(made.numbers) if as_json else _words(made, page))


def _words(made: "Explanation", page: Path) -> str:
    first, *others = made.panels
    lines = [
        f"{made.name} up to {made.watch_s[-1]:.1f} s of watch time and {made.duration_s[-1]:.1f} s of duration: "
        f"labels from {first.values.min():.2f} to {first.values.max():.2f} without explicit feedback, "
        f"rising with watch time at {100 * made.rises:.0f} % of the steps and falling at {100 * made.falls:.0f} %."
    ]
    lines += [f"{one.name}: {one.lift:+.3f} on average ({one.least:+.3f} to {one.most:+.3f})." for one in others]
    return "\n".join([*lines, f"Wrote {page}."])
