"""What the shells run to complete a command line, and what they are answered.

Typer's own way loses names that hold spaces, quotes, colons or stars. Each script hands over the line up to the cursor
as it is typed, and gets one candidate a line, with a tab before what there is to say of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import typer._completion_shared
from typer._click.core import Command
from typer._click.shell_completion import CompletionItem, ShellComplete

from erllama_cli.completion.words import TypedWords, continued
from erllama_cli.one_line import one_line

SHELL = "_ERLLAMA_COMPLETE"
REPLACED = "_ERLLAMA_COMPLETE_WORD"

# The bash of macOS is of 2007: it has no mapfile.
_BASH = """\
_erllama_completion() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(
        _ERLLAMA_COMPLETE=complete_bash _ERLLAMA_COMPLETE_LINE="${COMP_LINE:0:COMP_POINT}" \\
            _ERLLAMA_COMPLETE_WORD="$2" "$1" 2>/dev/null
    )
}

complete -o default -F _erllama_completion erllama
"""

# zsh loads the file as the function that it defines anew, which has to complete at that first call too.
_ZSH = """\
#compdef erllama

_erllama() {
  local line
  local -a values shown
  while IFS= read -r line; do
    values+=("${line%%$'\\t'*}")
    shown+=("${line/$'\\t'/  -- }")
  done < <(_ERLLAMA_COMPLETE=complete_zsh \\
    _ERLLAMA_COMPLETE_LINE="${(j: :)words[1,CURRENT-1]} $IPREFIX$QIPREFIX$PREFIX" erllama 2>/dev/null)
  if (( $#values )); then
    compadd -V erllama -l -d shown -a values
  else
    _files
  fi
}

if [[ "$funcstack[1]" == _erllama ]]; then
  _erllama "$@"
else
  compdef _erllama erllama
fi
"""

_FISH = """\
function __erllama_completion
    set -l line (commandline --cut-at-cursor --current-process | string collect)
    set -l found (env _ERLLAMA_COMPLETE=complete_fish _ERLLAMA_COMPLETE_LINE="$line" erllama 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline --current-token)
    end
end

complete --command erllama --no-files --keep-order --arguments "(__erllama_completion)"
"""

SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def offer_scripts() -> None:
    """Have `--install-completion` and `--show-completion` give these scripts instead of typer's."""
    # They are filled in with the operator %.
    typer._completion_shared._completion_scripts.update(
        {shell: script.replace("%", "%%") for shell, script in SCRIPTS.items()}
    )


def answer(command: Command, line: TypedWords) -> str:
    """What the shell that asks is to offer as the last word of `line`, of which `command` is the first."""
    items = _Asked(command, {}, "erllama", SHELL).get_completions(line.before[1:], line.meant)
    # What click completes of --name=value is the value alone.
    option, sign, _ = line.meant.partition("=")
    kept = option + sign if sign and option.startswith("-") else ""
    values = [(kept + item.value, item.help or "") for item in items]
    if os.environ.get(SHELL) == "complete_bash":
        replaced = os.environ.get(REPLACED, "")
        return "".join(f"{continued(value, line, replaced)}\n" for value, _help in values)
    return "".join(f"{value}\t{one_line(help_)}\n" if help_ else f"{value}\n" for value, help_ in values)


class _Asked(ShellComplete):
    """Click's search for what fits; how the words come and go is not its business here."""

    name = "erllama"
    source_template = ""

    def source_vars(self) -> dict[str, object]:
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        return [], ""

    def format_completion(self, item: CompletionItem) -> str:
        return str(item.value)
