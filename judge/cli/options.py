"""Options that several of the judge's commands have."""

from typing import Annotated

import typer

JudgeName = Annotated[str, typer.Option("--judge", help="sample, attributes, qwen:MODEL or endpoint:URL,MODEL.")]
JudgeOptions = Annotated[
    list[str] | None,
    typer.Option("--judge-option", metavar="NAME=VALUE", help="One of the judge's own, as budget=5; repeat."),
]
RubricName = Annotated[str, typer.Option("--rubric", help="A version that ships, or a JSON file.")]
Explain = Annotated[bool, typer.Option("--explain", help="Ask for a short reason too.")]
RetryUnscored = Annotated[bool, typer.Option("--retry-unscored", help="Ask again where a reply could not be read.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
