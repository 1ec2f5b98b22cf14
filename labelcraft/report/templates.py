"""Templates of pages. The only module of this package that imports jinja2."""

from importlib.resources import files
from typing import Any

from labelcraft.report.words import number
from retrieval.errors import import_extra


def make_template(package: str, name: str) -> Any:
    """A template that ships with *package* and may include others of it, with numbers as people write them."""
    jinja2 = import_extra("jinja2", "report")
    loader = jinja2.FunctionLoader(lambda name: (files(package) / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"count": "{:,}".format, "signed": lambda value: number(value, 3, sign=True)}
    return environment.get_template(name)


def markup(text: str) -> Any:
    """*text* that a template takes as it is: SVG that we drew."""
    return import_extra("markupsafe", "report").Markup(text)
