"""One request to each documented endpoint that makes sense, as bytes."""

from __future__ import annotations

import json
from typing import Any

MESSAGE = {"role": "user", "content": "hello"}
OWN_MESSAGE = {"role": "user", "parts": ["hello"]}
LEFT_OUT = ("/v1/stop",)
"""What ends the daemon."""

_BODIES: dict[str, dict[str, Any]] = {
    "/v1/complete": {"messages": [OWN_MESSAGE], "max_tokens": 2},
    "/v1/tokenize": {"text": "hello"},
    "/v1/detokenize": {"tokens": [1, 2, 3]},
    "/v1/render": {"messages": [OWN_MESSAGE]},
    "/v1/embed": {"texts": ["hello"]},
    "/v1/adapters/load": {"adapter": "/nowhere.gguf"},
    "/v1/adapters/unload": {"adapter": "/nowhere.gguf"},
    "/v1/adapters/scale": {"adapter": "/nowhere.gguf", "scale": 0.5},
    "/v1/cache/explain": {"messages": [OWN_MESSAGE]},
    "/v1/cache/recompute": {"count": 3, "seed": 1},
    "/v1/cache/forget": {"everything": True},
    "/v1/sessions": {"name": "llamas"},
    "/v1/sessions/{id}/goto": {"turn": 0},
    "/v1/sessions/{id}/change": {"name": "alpacas"},
    "/v1/chat/completions": {"messages": [MESSAGE], "max_tokens": 2, "stream": True},
    "/v1/completions": {"prompt": "hello", "max_tokens": 2},
    "/v1/embeddings": {"input": "hello"},
    "/v1/responses": {"input": "hello", "max_output_tokens": 2},
    "/v1/messages": {"messages": [MESSAGE], "max_tokens": 2, "stream": True},
    "/v1/messages/count_tokens": {"messages": [MESSAGE]},
    "/completion": {"prompt": "hello", "n_predict": 2},
    "/tokenize": {"content": "hello"},
    "/detokenize": {"tokens": [1, 2, 3]},
    "/embedding": {"content": "hello"},
    "/apply-template": {"messages": [MESSAGE]},
}


def valid_requests(document: Any, model: str, key: str = "") -> list[bytes]:
    """For every endpoint of an OpenAPI document, those apart that end the daemon."""
    return [
        _request(method.upper(), path, operation, model, key)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path not in LEFT_OUT
    ]


def _request(method: str, path: str, operation: Any, model: str, key: str) -> bytes:
    lines = [f"{method} {path.replace('{', '').replace('}', '')} HTTP/1.1", "Host: localhost"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    body = b""
    if "requestBody" in operation:
        body = json.dumps({"model": model, **_BODIES.get(path, {})}).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
