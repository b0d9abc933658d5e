"""`{fastnn-commands}`: what the `fastnn` command can be asked, from its own parser."""

import argparse
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from fastnn._options import parser as command_line


def _is_commands(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


def _spelled(action: argparse.Action) -> str:
    """`--epochs N`, or the name of a positional argument."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    return ", ".join(f"{option} {value}".rstrip() for option in action.option_strings)


def _options(parser: argparse.ArgumentParser) -> nodes.definition_list:
    found = nodes.definition_list()
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS or _is_commands(action):
            continue
        text = (action.help or "") % {"default": action.default, "prog": parser.prog}
        term = nodes.term("", "", nodes.literal("", _spelled(action)))
        found += nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", text)))
    return found


class Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        commands = next(action for action in command_line()._actions if _is_commands(action))
        helps = {action.dest: action.help for action in commands._choices_actions}
        sections: list[nodes.Node] = []
        for name, parser in commands.choices.items():
            title = nodes.title("", "", nodes.literal("", f"fastnn {name}"))
            section = nodes.section("", title, ids=[f"fastnn-{name}"], names=[f"fastnn {name}"])
            text = parser.description or f"{str(helps.get(name, '')).capitalize()}."
            section += nodes.paragraph("", text)
            usage = parser.format_usage().removeprefix("usage: ").strip()
            section += nodes.literal_block(usage, usage, language="none")
            options = _options(parser)
            if options.children:
                section += options
            sections.append(section)
        return sections


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("fastnn-commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
