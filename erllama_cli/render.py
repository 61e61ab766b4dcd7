"""`erllama render`: what the model would be asked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.files import read_text_file
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import print_json, write_text, write_whole_text

TOOLS_BYTES_LIMIT = 256 << 10

EXAMPLES = """\b
Examples:
  erllama render demo "Why do llamas hum?"
  erllama render demo -s "Be brief." --tokens "Why?" | wc -w
  erllama render ./model.gguf --tools tools.json "What is the time?\""""


def render(
    model: ModelArgument,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads standard input alone.")
    ] = None,
    system: options.System = None,
    tools: Annotated[
        str | None, typer.Option(metavar="FILE", help="A JSON list of tools that the model is shown.")
    ] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Print token ids instead of text.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print what the model would be asked, without asking it.

    The question is read as by `erllama run`. No line break is added, except on a terminal.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import read_question, system_messages
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import RenderRequest

        resolved = resolve_model(model)
        described = [] if tools is None else _read_tools(tools)
        messages = [*system_messages(system), read_question(prompt)]
        request = RenderRequest(model=resolved, messages=messages, tools=described)
        rendered = running_daemon(user_directories(), quiet=quiet).render(request)
        if as_json:
            print_json(rendered)
        elif tokens:
            write_text(" ".join(map(str, rendered.tokens)) + "\n")
        else:
            write_whole_text(rendered.text)


def _read_tools(path: str) -> list[dict[str, Any]]:
    import msgspec

    from erllama_daemon.errors import RequestInvalid

    text = read_text_file(path, TOOLS_BYTES_LIMIT, RequestInvalid)
    try:
        return msgspec.json.decode(text, type=list[dict[str, Any]])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RequestInvalid(reason=f"{path} is no JSON list of objects: {error}") from error
