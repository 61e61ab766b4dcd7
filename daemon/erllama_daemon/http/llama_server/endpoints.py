"""The endpoints of llama.cpp's server."""

from __future__ import annotations

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.llama_server.completion_endpoint import CompletionEndpoint
from erllama_daemon.http.llama_server.lora_endpoints import LoraEndpoints
from erllama_daemon.http.llama_server.model_choice import ModelChoice
from erllama_daemon.http.llama_server.state_endpoints import StateEndpoints
from erllama_daemon.http.llama_server.text_endpoints import TextEndpoints
from erllama_daemon.models.supervisor import Supervisor


def llama_server_endpoints(asking: Asking, calls: Calls, supervisor: Supervisor) -> list[Endpoint]:
    """Every endpoint of this API."""
    choice = ModelChoice(lambda: supervisor.loaded_models)
    return [
        *StateEndpoints(supervisor, choice).endpoints(),
        *TextEndpoints(calls, choice).endpoints(),
        *CompletionEndpoint(asking, calls, choice).endpoints(),
        *LoraEndpoints(calls, choice).endpoints(),
    ]
