"""`erllama sessions rename`: a conversation gets another name, or none."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json
from erllama_cli.sessions.named import Name, NewName, named

EXAMPLES = """\b
Examples:
  erllama sessions rename 0f3a build
  erllama sessions rename build "the build: why it broke"
  erllama sessions rename build \"\""""


def rename(
    name: Name,
    new: NewName,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Give a conversation another name, or none.

    A name may hold spaces, quotes, colons and emoji. Without one a conversation goes by how it began.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import valid_text
        from erllama_cli.results.sessions import RenamedSession
        from erllama_daemon.directories import user_directories

        client = running_daemon(user_directories(), quiet=quiet)
        before = client.session(name)
        now = client.change_session(before, name=valid_text(new, "NEW"))
        if as_json:
            print_json(RenamedSession(id=now.id, name=now.name, title=now.title, before=before.name))
        elif not quiet:
            print(f"renamed {named(before)}: {named(now) if now.name else 'it has no name any more'}")
