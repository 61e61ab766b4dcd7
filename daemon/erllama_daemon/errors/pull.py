"""A model cannot be fetched."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_MODEL


class PullNotInstalled(ErllamaError):
    """Models are fetched with huggingface_hub, which is not installed."""

    code = "pull_not_installed"
    exit_code = EXIT_FAILED
    hint = "Install it with: pip install 'erllama[pull]'"


class HubUnreachable(ErllamaError):
    """The hub at {hub} does not answer: {reason}."""

    code = "hub_unreachable"
    exit_code = EXIT_FAILED
    hint = "The same command goes on with what was fetched so far. HF_ENDPOINT names another hub."


class RepositoryUnknown(ErllamaError):
    """There is no repository {repository} at {hub}."""

    code = "repository_unknown"
    exit_code = EXIT_MODEL
    hint = "It is written ORG/NAME. One that is private is shown only to those who log in: hf auth login"


class RepositoryClosed(ErllamaError):
    """The hub at {hub} does not let you have {repository}: {reason}."""

    code = "repository_closed"
    exit_code = EXIT_MODEL
    hint = "Ask for access on its page, and log in with: hf auth login"


class QuantizationUnknown(ErllamaError):
    """{repository} has no {wanted}."""

    code = "quantization_unknown"
    exit_code = EXIT_MODEL
    hint = "It has: {there}"


class QuantizationAmbiguous(ErllamaError):
    """{repository} has several models, and which one you mean is not said."""

    code = "quantization_ambiguous"
    exit_code = EXIT_MODEL
    hint = "It has: {there}. Write one of them after a colon, as in {example}"


class DownloadDamaged(ErllamaError):
    """What was fetched as {file} is not what the hub has: its checksum is another one."""

    code = "download_damaged"
    exit_code = EXIT_FAILED
    hint = "It was deleted. Fetch it again."


class DownloadUnwritable(ErllamaError):
    """The model cannot be kept in {path}: {reason}."""

    code = "download_unwritable"
    exit_code = EXIT_FAILED
    hint = "Make room there, or have it fetched elsewhere: HF_HOME says where to. What was fetched before is kept."
