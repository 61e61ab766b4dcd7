"""What can go wrong between a command and a model. Each docstring is the message that the user reads."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cache.errors import ErllamaError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_MODEL = 3
EXIT_UNREACHABLE = 4
EXIT_CONTEXT = 5
EXIT_NOT_CACHED = 6
EXIT_INTERRUPTED = 130


class RequestInvalid(ErllamaError):
    """The request is not valid: {reason}."""

    code = "request_invalid"
    exit_code = EXIT_USAGE


class ConfigInvalid(ErllamaError):
    """The configuration {path} is not valid: {reason}."""

    code = "config_invalid"
    exit_code = EXIT_USAGE
    hint = "Mend it or move it away: every key in it may be left out."


class PromptEmpty(ErllamaError):
    """The prompt is empty."""

    code = "prompt_empty"
    exit_code = EXIT_USAGE
    hint = "Give it on standard input or, to `erllama run`, as an argument."


class DocumentUnreadable(ErllamaError):
    """The document cannot be read: {reason}."""

    code = "document_unreadable"
    exit_code = EXIT_FAILED


class NothingToPin(ErllamaError):
    """Nothing of {document} is on disk that could be pinned."""

    code = "nothing_to_pin"
    exit_code = EXIT_FAILED
    hint = "It is too short, the policy keeps it out, or the disk took no more; see: erllama cache stats"


class ModelMissing(ErllamaError):
    """There is no model {model}."""

    code = "model_missing"
    exit_code = EXIT_MODEL
    hint = "Give the path of a GGUF file, or `demo`."


class ModelUnreadable(ErllamaError):
    """The model {path} cannot be loaded: {reason}."""

    code = "model_unreadable"
    exit_code = EXIT_MODEL


class DemoModelMissing(ErllamaError):
    """The demo model is not installed."""

    code = "demo_model_missing"
    exit_code = EXIT_MODEL
    hint = "Install it with: pip install 'erllama[demo]'"


class DaemonUnreachable(ErllamaError):
    """The daemon cannot be reached at {socket}: {reason}."""

    code = "daemon_unreachable"
    exit_code = EXIT_UNREACHABLE
    hint = "Look at its log: {log}"


class DaemonLost(ErllamaError):
    """The daemon went away in the middle of the answer."""

    code = "daemon_lost"
    exit_code = EXIT_UNREACHABLE
    hint = "Ask again: it starts by itself. Its log: {log}"


class DaemonIncompatible(ErllamaError):
    """What the daemon at {socket} says makes no sense to this command."""

    code = "daemon_incompatible"
    exit_code = EXIT_UNREACHABLE
    hint = "It may be of another version; stop it with: erllama daemon stop"


class DaemonStillRuns(ErllamaError):
    """The daemon (process {pid}) has not ended within {seconds:.0f} s."""

    code = "daemon_still_runs"
    exit_code = EXIT_FAILED
    hint = "Look at its log: {log}"


class ChatNeedsModel(ErllamaError):
    """A new conversation needs a model."""

    code = "chat_needs_model"
    exit_code = EXIT_USAGE
    hint = "Give one, as in: erllama chat demo. Or go on with the last one: erllama chat --continue"


class ChatCommandUnknown(ErllamaError):
    """There is no command /{name}."""

    code = "chat_command_unknown"
    exit_code = EXIT_USAGE
    hint = "/help shows those that there are. A message that begins with a slash is written with two."

    def __init__(self, *, name: str, near: Sequence[str] = ()) -> None:
        super().__init__(name=name)
        if near:
            self.hint = f"Did you mean {' or '.join(f'/{command}' for command in near)}? {self.hint}"


class ChatCommandMisused(ErllamaError):
    """It is used so: {usage}."""

    code = "chat_command_misused"
    exit_code = EXIT_USAGE


class NothingSaid(ErllamaError):
    """Nothing was said in this conversation yet."""

    code = "nothing_said"
    exit_code = EXIT_FAILED


class NoClipboard(ErllamaError):
    """A terminal of the kind {terminal} reaches no clipboard."""

    code = "no_clipboard"
    exit_code = EXIT_FAILED
    hint = "/save FILE writes the conversation to a file."


class FileThere(ErllamaError):
    """There is a file {path} already."""

    code = "file_there"
    exit_code = EXIT_FAILED
    hint = "/save! {path} writes over it."


class DaemonAlreadyRuns(ErllamaError):
    """A daemon already listens at {socket}."""

    code = "daemon_already_runs"
    exit_code = EXIT_FAILED


class SocketPathTooLong(ErllamaError):
    """The socket path {socket} has {length} bytes; a Unix socket allows {limit}."""

    code = "socket_path_too_long"
    exit_code = EXIT_UNREACHABLE
    hint = "Set XDG_RUNTIME_DIR to a shorter folder."


class ContextExceeded(ErllamaError):
    """The prompt has {tokens} tokens; the model's context holds {limit}."""

    code = "context_exceeded"
    exit_code = EXIT_CONTEXT
    hint = "Shorten it, or give the model more room with --ctx."

    def __init__(self, *, tokens: int, limit: int, in_conversation: bool = False) -> None:
        super().__init__(tokens=tokens, limit=limit)
        if in_conversation:
            self.hint = (
                "Give it more room with --ctx, or let go of the oldest with --overflow drop or --overflow summarize."
                " In a chat, /goto or /fork goes on from an earlier turn."
            )


class NotCached(ErllamaError):
    """The cache held {cached} tokens of the prompt; {demanded} were demanded."""

    code = "not_cached"
    exit_code = EXIT_NOT_CACHED
    hint = "`erllama cache explain {model} …` says why, and `erllama cache warm {model} …` reads them beforehand."


class NotSupported(ErllamaError):
    """The model {model} cannot {what}."""

    code = "not_supported"
    exit_code = EXIT_FAILED


class Busy(ErllamaError):
    """{waiting} requests to {model} are waiting already."""

    code = "busy"
    exit_code = EXIT_FAILED
    hint = "Ask again in a while."


class AdapterUnreadable(ErllamaError):
    """The adapter {path} cannot be used: {reason}."""

    code = "adapter_unreadable"
    exit_code = EXIT_MODEL


class AdapterUnknown(ErllamaError):
    """No adapter {adapter} is attached to {model}."""

    code = "adapter_unknown"
    exit_code = EXIT_FAILED
    hint = "See what is with: erllama adapter ls {model}"


class GrammarInvalid(ErllamaError):
    """The grammar is not valid: {reason}."""

    code = "grammar_invalid"
    exit_code = EXIT_USAGE


class JsonSchemaInvalid(ErllamaError):
    """The JSON schema cannot be followed: {reason}."""

    code = "json_schema_invalid"
    exit_code = EXIT_USAGE


class TokenUnknown(ErllamaError):
    """Token {token} is not in the vocabulary, which ends at {last}."""

    code = "token_unknown"
    exit_code = EXIT_USAGE


class EmbeddingEmpty(ErllamaError):
    """There is nothing to embed: text {number} is empty."""

    code = "embedding_empty"
    exit_code = EXIT_USAGE


class RequestKillsWorker(ErllamaError):
    """The worker of {model} died {deaths} times within a minute on this very request."""

    code = "request_kills_worker"
    exit_code = EXIT_FAILED
    hint = "It is not tried again before {seconds:.0f} s are over. The log says how the worker died: {log}"


class WorkerDied(ErllamaError):
    """The worker of {model} ended in the middle of the request ({reason})."""

    code = "worker_died"
    exit_code = EXIT_FAILED
    hint = "Ask again: the model is loaded anew and resumes from the cache."


class DecodeFailed(ErllamaError):
    """The model could not compute the next tokens: {reason}."""

    code = "decode_failed"
    exit_code = EXIT_FAILED


class AnswerCutOff(ErllamaError):
    """The daemon was stopped before the answer was complete."""

    code = "answer_cut_off"
    exit_code = EXIT_FAILED


class TemplateFailed(ErllamaError):
    """The chat template of the model failed: {reason}."""

    code = "template_failed"
    exit_code = EXIT_MODEL


class SessionUnknown(ErllamaError):
    """There is no conversation {session}."""

    code = "session_unknown"
    exit_code = EXIT_FAILED
    hint = "See what there is with: erllama sessions ls"

    def __init__(self, *, session: str, near: Sequence[str] = ()) -> None:
        super().__init__(session=session)
        if near:
            self.hint = f"Did you mean {' or '.join(near)}? See all with: erllama sessions ls"


class SessionAmbiguous(ErllamaError):
    """{count} conversations have ids that begin with {session}."""

    code = "session_ambiguous"
    exit_code = EXIT_FAILED
    hint = "Write more of it; see: erllama sessions ls"


class SessionNameTaken(ErllamaError):
    """There is a conversation called {name} already: {session}."""

    code = "session_name_taken"
    exit_code = EXIT_FAILED
    hint = "Choose another name, or go on with it: erllama chat --session {session}"


class SessionModelDiffers(ErllamaError):
    """The conversation {called} is with {model}, not with {given}."""

    code = "session_model_differs"
    exit_code = EXIT_USAGE
    hint = (
        "Have it go on with the other model: erllama chat --session {session} --model {given}"
        " (with --fork, a copy of it does)."
    )


class SessionModelMissing(ErllamaError):
    """The model {model} of the conversation {called} is not there any more."""

    code = "session_model_missing"
    exit_code = EXIT_MODEL
    hint = "Say where it is now, or choose another: erllama chat --session {session} --model MODEL"


class SessionPrivate(ErllamaError):
    """The conversation {session} is private: it belongs to the command that began it."""

    code = "session_private"
    exit_code = EXIT_FAILED


class SessionOpen(ErllamaError):
    """The conversation {session} is open in another window."""

    code = "session_open"
    exit_code = EXIT_FAILED
    hint = "Close it there, or choose with --if-open fork or --if-open wait."


class SessionMoved(ErllamaError):
    """The conversation {session} went on elsewhere meanwhile: {turns} more."""

    code = "session_moved"
    exit_code = EXIT_FAILED
    hint = "See what was said with: erllama sessions show {session}"


class TurnUnknown(ErllamaError):
    """The conversation {session} has no turn {turn}."""

    code = "turn_unknown"
    exit_code = EXIT_FAILED
    hint = "See its turns with: erllama sessions show {session}"


class ImportUnreadable(ErllamaError):
    """The conversations in {path} cannot be read: {reason}."""

    code = "import_unreadable"
    exit_code = EXIT_FAILED
    hint = (
        "It has to be JSON that erllama sessions export wrote, and whole; what cache export wrote is for cache import."
    )


class ImportTooNew(ErllamaError):
    """The conversations in {path} were exported by a newer erllama (format {found}; this one knows {known})."""

    code = "import_too_new"
    exit_code = EXIT_FAILED
    hint = "Update erllama; nothing of them was taken in."


class ExportUnwritable(ErllamaError):
    """The conversations cannot be written to {path}: {reason}."""

    code = "export_unwritable"
    exit_code = EXIT_FAILED


class ParentUnknown(ErllamaError):
    """Nothing that is kept ends in the key {key}."""

    code = "parent_unknown"
    exit_code = EXIT_FAILED
    hint = "A key is kept as long as its block is in the cache, or its turn in a conversation."


class SessionsTooNew(ErllamaError):
    """The conversations at {path} were written by a newer erllama (format {found}; this one knows {known})."""

    code = "sessions_too_new"
    exit_code = EXIT_FAILED
    hint = "Update erllama; they are left as they are."


class NameUnknown(ErllamaError):
    """There is neither a conversation nor a block {name}."""

    code = "name_unknown"
    exit_code = EXIT_FAILED
    hint = "See what there is with: erllama cache ls"


class NameAmbiguous(ErllamaError):
    """{count} conversations and blocks have names that begin with {name}."""

    code = "name_ambiguous"
    exit_code = EXIT_FAILED
    hint = "Write more of it."


class ChatNotCached(ErllamaError):
    """Nothing of the conversation {session} is in the cache on disk."""

    code = "chat_not_cached"
    exit_code = EXIT_FAILED
    hint = "It is once the conversation has gone on: erllama chat --session {session}"


class NoSession(ErllamaError):
    """There is no conversation to continue."""

    code = "no_session"
    exit_code = EXIT_FAILED
    hint = "Start one with: erllama chat MODEL"


class SessionsUnusable(ErllamaError):
    """The conversations at {path} cannot be used: {reason}."""

    code = "sessions_unusable"
    exit_code = EXIT_FAILED

    def __init__(self, *, path: object, reason: object) -> None:
        super().__init__(path=path, reason=reason)
        # SQLite's errors know their names; they are not imported, for that takes time.
        name = str(getattr(reason, "sqlite_errorname", ""))
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            self.hint = "Another program is writing in them; end it, or ask again when it is done."
        elif name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE")):
            self.hint = "Make room on the disk."
        elif name.startswith(_DAMAGE) or type(reason).__module__.startswith("msgspec"):
            self.hint = "What can still be read is rescued when the daemon starts anew: erllama daemon stop"


_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ")


class TurnUnwritten(SessionsUnusable):
    """The answer cannot be written to {path} yet: {reason}. It is kept, and written as soon as that is possible."""

    code = "turn_unwritten"


class DiskFull(ErllamaError):
    """There is no room at {path} for an answer ({reason}), so nothing was asked."""

    code = "disk_full"
    exit_code = EXIT_FAILED
    hint = "Make room on the disk, a few megabytes, and ask again."


class OutputFailed(ErllamaError):
    """The answer cannot be written: {reason}."""

    code = "output_failed"
    exit_code = EXIT_FAILED


class InternalError(ErllamaError):
    """Something went wrong inside: {reason}."""

    code = "internal"
    exit_code = EXIT_FAILED
    hint = "The daemon's log has the details."
