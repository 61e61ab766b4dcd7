"""A model, its worker or what it was to use cannot do it."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE


class ModelNotNamed(ErllamaError):
    """The request names no model, and {reason}."""

    code = "model_not_named"
    exit_code = EXIT_USAGE
    hint = "Name it in the field or the query `model`, or say which it is with: erllama models alias default MODEL"


class ModelMissing(ErllamaError):
    """There is no model {model!q}."""

    code = "model_missing"
    exit_code = EXIT_MODEL
    hint = "Nothing is there. See which models there are with: erllama models ls"


class ModelUnknown(ErllamaError):
    """There is no model {model!q}."""

    code = "model_unknown"
    exit_code = EXIT_MODEL
    hint = "{advice} See which models there are with: erllama models ls"

    def __init__(self, *, model: str, stores: Sequence[str], near: Sequence[str]) -> None:
        nearest = f"Did you mean {' or '.join(near)}?" if near else f"It is in no store ({', '.join(stores)})."
        super().__init__(model=model, advice=nearest)


class ModelAmbiguous(ErllamaError):
    """{model!q} may mean several models: {names}."""

    code = "model_ambiguous"
    exit_code = EXIT_MODEL
    hint = "Write all of the one you mean, or give it an alias: erllama models alias NAME MODEL"


class AliasUnknown(ErllamaError):
    """There is no alias {alias}."""

    code = "alias_unknown"
    exit_code = EXIT_FAILED
    hint = "See which there are with: erllama models alias"


class ModelUnreadable(ErllamaError):
    """The model {path} cannot be loaded: {reason}."""

    code = "model_unreadable"
    exit_code = EXIT_MODEL
    hint = "It takes a whole GGUF file of a kind that this llama.cpp knows; and, if memory is short, a smaller --ctx."


NO_GGUF = "A model is a file that begins with GGUF; one of another format has to be converted first."
NOT_WHOLE = "It takes a whole GGUF file of a kind that this llama.cpp knows: fetch it again if it was cut off."
A_FOLDER = "Name the GGUF file in it. `erllama models ls` shows the models that can be named otherwise."
"""What helps with a `ModelUnreadable` of which more is known."""


class DemoModelMissing(ErllamaError):
    """The demo model is not installed."""

    code = "demo_model_missing"
    exit_code = EXIT_MODEL
    hint = "Install it with: pip install 'erllama[demo]'"


class NotSupported(ErllamaError):
    """The model {model!q} cannot {what}."""

    code = "not_supported"
    exit_code = EXIT_FAILED
    hint = "Ask a model that was made for that."


class AdapterUnreadable(ErllamaError):
    """The adapter {path} cannot be used: {reason}."""

    code = "adapter_unreadable"
    exit_code = EXIT_MODEL
    hint = "An adapter is a GGUF file of a LoRA that was made for this very model."


class AdapterUnknown(ErllamaError):
    """No adapter {adapter!q} is attached to {model!q}."""

    code = "adapter_unknown"
    exit_code = EXIT_FAILED
    hint = "See what is with: erllama adapter ls {model!q}"


class TemplateFailed(ErllamaError):
    """The chat template of the model failed: {reason}."""

    code = "template_failed"
    exit_code = EXIT_MODEL
    hint = "The template is part of the model's file. `erllama render` shows what it makes of a question."


class RequestKillsWorker(ErllamaError):
    """The worker of {model!q} died {deaths} times within a minute on this very request."""

    code = "request_kills_worker"
    exit_code = EXIT_FAILED
    hint = "It is not tried again before {seconds:.0f} s are over. The log says how the worker died: {log}"


class WorkerDied(ErllamaError):
    """The worker of {model!q} ended in the middle of the request ({reason})."""

    code = "worker_died"
    exit_code = EXIT_FAILED
    hint = "Ask again: the model is loaded anew and resumes from the cache."


class DecodeFailed(ErllamaError):
    """The model could not compute the next tokens: {reason}."""

    code = "decode_failed"
    exit_code = EXIT_FAILED
    hint = (
        "Ask again; if it goes on, load the model with a smaller --ctx or --parallel. The daemon's log has the details."
    )
