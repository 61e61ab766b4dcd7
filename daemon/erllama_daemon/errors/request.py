"""What was asked makes no sense, or does not fit."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_CONTEXT, EXIT_FAILED, EXIT_USAGE


class RequestInvalid(ErllamaError):
    """The request is not valid: {reason}."""

    code = "request_invalid"
    exit_code = EXIT_USAGE
    hint = "See what it takes with --help, in a chat with /help."


class FieldRefused(ErllamaError):
    """{field} is not supported: {reason}."""

    code = "field_refused"
    exit_code = EXIT_USAGE
    hint = "docs/openai.md says what is."


class ResponseUnknown(ErllamaError):
    """There is no response {id}."""

    code = "response_unknown"
    exit_code = EXIT_USAGE
    hint = "Send the whole conversation as `input`, without `previous_response_id`."


class ResponseNotKept(ErllamaError):
    """What the response {id} said is not kept."""

    code = "response_not_kept"
    exit_code = EXIT_USAGE
    hint = "It can be gone on from with `previous_response_id`. Conversations that are kept have `POST /v1/sessions`."


class EndpointUnknown(ErllamaError):
    """The daemon has nothing at {method} {path}."""

    code = "endpoint_unknown"
    exit_code = EXIT_USAGE
    hint = "docs/http.md lists all that it can be asked, GET /openapi.json too."


class CommandLineInvalid(ErllamaError):
    """The command line is not valid: {reason}"""

    code = "command_line_invalid"
    exit_code = EXIT_USAGE
    hint = "See what the command takes with --help."


class PromptEmpty(ErllamaError):
    """The prompt is empty."""

    code = "prompt_empty"
    exit_code = EXIT_USAGE
    hint = "Give it on standard input or, to `erllama run`, as an argument."


class DocumentUnreadable(ErllamaError):
    """The document cannot be used: {reason}."""

    code = "document_unreadable"
    exit_code = EXIT_FAILED
    hint = "A document is a file of UTF-8 text; another format has to be converted first."


class BatchUnreadable(ErllamaError):
    """The batch cannot be read: {reason}."""

    code = "batch_unreadable"
    exit_code = EXIT_FAILED
    hint = "A batch is UTF-8 text: a prompt a line, JSON objects a line, or prompts with NUL between them."


class ContextExceeded(ErllamaError):
    """The prompt has {tokens:,} tokens; the model's context holds {limit:,}."""

    code = "context_exceeded"
    exit_code = EXIT_CONTEXT
    hint = "Shorten it, or give the model more room with --ctx."

    def __init__(self, *, tokens: int, limit: int, in_conversation: bool = False) -> None:
        super().__init__(tokens=tokens, limit=limit)
        if in_conversation:
            self.hint = (
                "Give it more room with --ctx, or let go of the oldest with --overflow drop or --overflow summarize."
                " In a chat: /set overflow drop, then /retry; or go on from an earlier turn with /goto or /fork."
            )


class GrammarInvalid(ErllamaError):
    """The grammar is not valid: {reason}."""

    code = "grammar_invalid"
    exit_code = EXIT_USAGE
    hint = "It has to be GBNF, as llama.cpp reads it, with a rule called `root`."


class JsonSchemaInvalid(ErllamaError):
    """The JSON schema cannot be followed: {reason}."""

    code = "json_schema_invalid"
    exit_code = EXIT_USAGE
    hint = "Leave out what it names, or write the grammar yourself: --grammar"


class ToolInvalid(ErllamaError):
    """The tool {name} is not valid: {reason}."""

    code = "tool_invalid"
    exit_code = EXIT_USAGE
    hint = "A tool is a function with a name, and the JSON schema of an object for its parameters."


class ToolsInvalid(ErllamaError):
    """The tools cannot be followed: {reason}."""

    code = "tools_invalid"
    exit_code = EXIT_USAGE
    hint = "Give fewer of them, or simpler schemas."


class TokenUnknown(ErllamaError):
    """Token {token} is not in the vocabulary, which ends at {last}."""

    code = "token_unknown"
    exit_code = EXIT_USAGE
    hint = "`erllama tokenize` prints the ids that the model knows."


class EmbeddingEmpty(ErllamaError):
    """There is nothing to embed: text {number} is empty."""

    code = "embedding_empty"
    exit_code = EXIT_USAGE
    hint = "Leave it out: the model reads at least one token."
