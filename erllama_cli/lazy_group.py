"""A group whose commands are imported only when one is called: most take longer to import than to answer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer._click import Command, Context, HelpFormatter
from typer._click.exceptions import UsageError
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from erllama_cli.commands import Group
from erllama_cli.plain_usage import PlainUsage

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def lazy_app(
    name: str, group: Group, package: str, callback: Callable[..., None] | None = None, *, offers_scripts: bool = False
) -> typer.Typer:
    """The group `name`, whose commands are modules of `package`. `callback` has the options of the group itself."""

    class Named(_LazyGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.group = group
            self.package = package
            self.commands.update({name: TyperCommand(name) for name in group.commands})  # what a typo is near to

    app = typer.Typer(
        name=name,
        cls=Named,
        help=group.help,
        epilog=f"\b\nExamples:\n{group.examples}",
        no_args_is_help=True,
        add_completion=offers_scripts,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=HELP_OPTIONS,
    )
    app.callback()(callback or (lambda: None))
    return app


class _LazyGroup(TyperGroup):
    group: Group
    package: str

    def get_command(self, _context: Context, name: str) -> Command | None:
        """The command, imported, or None if there is none."""
        found = self.group.commands.get(name)
        if found is None:
            return None
        module_name = f"{self.package}.{name}_" if iskeyword(name) else f"{self.package}.{name}"
        if isinstance(found, Group):
            return get_command(lazy_app(name, found, module_name))
        return _command(name, module_name)

    def resolve_command(self, context: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The command that is meant; who knows it by another name is told its own."""
        try:
            return super().resolve_command(context, args)
        except UsageError as error:
            if context.parent is None:
                from erllama_cli.habits import ELSEWHERE

                if args[0] in ELSEWHERE:
                    error.message = f"No such command {args[0]!r}. It is {ELSEWHERE[args[0]]}."
            raise

    def invoke(self, context: Context) -> Any:
        """Run the command. What is wrong with its line, the caller tells people; who asked for JSON gets it as JSON."""
        wants_json = context.parent is None and "--json" in [*context._protected_args, *context.args]
        try:
            return super().invoke(context)
        except UsageError as error:
            if wants_json:
                from erllama_cli.failures import print_usage_failure

                print_usage_failure(error.format_message())
            raise

    def format_commands(self, _context: Context, formatter: HelpFormatter) -> None:
        """Every command with its whole summary."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(each)) for name, each in self.group.commands.items()])

    def shell_complete(self, context: Context, incomplete: str) -> list[CompletionItem]:
        """The commands whose names begin so, and the options."""
        named = [
            CompletionItem(name, help=_summary(each))
            for name, each in self.group.commands.items()
            if name.startswith(incomplete)
        ]
        return named + Command.shell_complete(self, context, incomplete)


def _command(name: str, module_name: str) -> Command:
    """The command that a module holds: a function of the module's name, its `EXAMPLES`, and `COMMAND`, its class if it
    needs one of its own.
    """
    module = import_module(module_name)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(
        name,
        cls=getattr(module, "COMMAND", PlainUsage),
        epilog=module.EXAMPLES,
        context_settings=HELP_OPTIONS,
    )(getattr(module, module_name.rpartition(".")[2]))
    return get_command(app)


def _summary(command: str | Group) -> str:
    return command.help.partition("\n")[0] if isinstance(command, Group) else command
