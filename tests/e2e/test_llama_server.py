"""What scripts ask llama.cpp's server, asked of the daemon with curl, on the real model."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from conftest import Erllama

from erllama_daemon.directories import user_directories

STORY = "The old miller had three sons, and when he died he left them his mill, his donkey and his cat. " * 4


def curl(path: str, body: object = None) -> str:
    sent = [] if body is None else ["-d", json.dumps(body)]
    command = ["curl", "-sS", "--unix-socket", str(user_directories().socket), *sent, f"http://erllama{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def asked(path: str, body: object = None) -> Any:
    return json.loads(curl(path, body))


def test_a_script_for_llama_cpps_server_runs_on_the_daemon(erllama: Erllama) -> None:
    assert erllama("load", "demo", "--ctx", "1024").returncode == 0
    assert asked("/health") == {"status": "ok"}
    properties = asked("/props")
    assert properties["default_generation_settings"]["n_ctx"] == 1024
    assert "<|im_start|>" in properties["chat_template"]
    assert len(asked("/slots")) == properties["total_slots"]

    tokens = asked("/tokenize", {"content": "Hello world", "with_pieces": True})["tokens"]
    assert "".join(token["piece"] for token in tokens) == "Hello world"
    assert asked("/detokenize", {"tokens": [token["id"] for token in tokens]}) == {"content": "Hello world"}
    prompt = asked("/apply-template", {"messages": [{"role": "user", "content": STORY}]})["prompt"]
    assert STORY.strip() in prompt

    body = {"prompt": prompt, "n_predict": 6, "temperature": 0, "n_probs": 2, "return_tokens": True}
    first, again = asked("/completion", body), asked("/completion", body)
    assert (first["tokens_cached"], first["stop_type"], first["tokens_predicted"]) == (0, "limit", 6)
    assert again["content"] == first["content"]
    assert again["tokens_cached"] == again["tokens_evaluated"] == first["tokens_evaluated"]
    assert again["timings"]["prompt_n"] == 0
    probabilities = first["completion_probabilities"]
    assert [token["id"] for token in probabilities] == first["tokens"]
    assert all(token["id"] == token["top_logprobs"][0]["id"] for token in probabilities)

    lines = [line.removeprefix("data: ") for line in curl("/completion", {**body, "stream": True}).splitlines() if line]
    pieces = [json.loads(line) for line in lines]
    assert "".join(piece["content"] for piece in pieces) == first["content"]
    assert [piece["stop"] for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    rule = {"prompt": prompt, "grammar": 'root ::= "cat" | "mill"', "n_predict": 9}
    assert asked("/completion", rule)["content"] in ("cat", "mill")
    assert asked("/lora-adapters") == []
    assert "several prompts" in asked("/completion", {"prompt": ["a", "b"]})["error"]["message"]
