"""A simulated coding agent: it resends the whole conversation as text each turn, and little of it is read again.

`python -m hard.agent` talks to a daemon with the real model through the unmodified `openai` package. It has files
read by calling a tool, and is told what is in them. In the middle the daemon is restarted, and at the end one message
in the middle is edited. `make hard` runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from hard.own_daemon import OwnDaemon, end_in_order, own_daemon
from openai import OpenAI

ROOT = Path(__file__).parents[2]
SHARE = 0.95
"""So much of what was sent before must be reused, at the least."""

ANSWER_TOKENS = 24
CALL_TOKENS = 96
SYSTEM = """\
You are a careful programmer who works in the repository of erllama, a daemon that gives a local model a memory.
You read files with the tool read_file before you say anything about them. You answer in one short sentence, you never
invent what is not in a file, and you name the function that you speak of. What is generated is never edited by hand."""
READ_FILE: Any = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file of the repository.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string", "maxLength": 24}},
            "required": ["path"],
            "additionalProperties": False,
        },
    },
}
CALL_IT: Any = {"type": "function", "function": {"name": "read_file"}}


@dataclass(frozen=True)
class Turn:
    """One request. `before` are the tokens that were sent before: the prompt of the turn before it, and its answer."""

    number: int
    prompt: int
    answer: int
    cached: int
    before: int

    @property
    def share(self) -> float:
        """How much of what was sent before was reused."""
        return min(1.0, self.cached / self.before) if self.before else 1.0

    def __str__(self) -> str:
        return (
            f"turn {self.number:2}: prompt {self.prompt:5}, cached {self.cached:5}, "
            f"sent before {self.before:5}, reused {self.share:6.1%}, answer {self.answer:3}"
        )


@dataclass
class Agent:
    """The conversation as its client has it, which is all that the daemon is sent."""

    daemon: OwnDaemon
    client: OpenAI
    last_prompt: int
    turns_in_all: int
    messages: list[Any] = field(default_factory=lambda: [{"role": "system", "content": SYSTEM}])
    turns: list[Turn] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    """How many messages each turn sent."""

    def work(self) -> Turn:
        """A file is called for in one turn, and spoken of in the next, unless the model calls for something again."""
        number = len(self.turns)
        path, text = FILES[number // 2 % len(FILES)]
        if number % 2 == 0:
            self.messages.append({"role": "user", "content": f"What does {path} do? Read it first."})
            said = self.ask(CALL_TOKENS, tool_choice=CALL_IT)
            assert said.tool_calls, said
        else:
            said = self.ask(ANSWER_TOKENS, tool_choice="auto")
        self.messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls or []:
            result = self.cut(text) if number % 2 == 0 else "You have read it already."
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return self.turns[-1]

    def ask(self, length: int, **options: Any) -> Any:
        """Sends all of it, and gives the message that comes back."""
        answer = self.client.chat.completions.create(
            model="demo", messages=self.messages, tools=[READ_FILE], temperature=0, max_tokens=length, **options
        )
        usage = answer.usage
        assert usage is not None and usage.prompt_tokens_details is not None
        before = self.turns[-1].prompt + self.turns[-1].answer if self.turns else 0
        cached = usage.prompt_tokens_details.cached_tokens or 0
        turn = Turn(len(self.turns) + 1, usage.prompt_tokens, usage.completion_tokens, cached, before)
        self.turns.append(turn)
        self.lengths.append(len(self.messages))
        return answer.choices[0].message

    def edit(self, number: int) -> Turn:
        """What the whole conversation finds with the tool's result after a turn changed, beside all before that."""
        turn, position = self.turns[number - 1], self.lengths[number - 1] + 1
        assert self.messages[position]["role"] == "tool"
        self.messages[position] = {**self.messages[position], "content": "It is empty now: somebody deleted it."}
        self.ask(ANSWER_TOKENS, tool_choice="auto")
        edited = self.turns.pop()
        return Turn(edited.number, edited.prompt, edited.answer, edited.cached, turn.prompt + turn.answer)

    def cut(self, text: str) -> str:
        """The beginning of a file that lets the last prompt be as long as it is to be."""
        results_left = self.turns_in_all // 2 - (len(self.turns) - 1) // 2
        last = self.turns[-1]
        overhead = (last.prompt - last.before if len(self.turns) > 1 else 0) + ANSWER_TOKENS + CALL_TOKENS // 2
        size = (self.last_prompt - last.prompt - last.answer) // results_left - overhead
        _, found = self.daemon.ask("POST", "/v1/tokenize", {"model": "demo", "text": text[: 8 * size]})
        return "".join(found["pieces"][:size])

    @property
    def share(self) -> float:
        """How much was reused of all that was sent before."""
        return sum(min(turn.cached, turn.before) for turn in self.turns) / sum(turn.before for turn in self.turns)


def _files() -> list[tuple[str, str]]:
    """Files of the repository: what is there, the longest first."""
    found = [(path.name, path.read_text()) for path in sorted((ROOT / "daemon").rglob("*.py"))]
    return sorted(found, key=lambda file: len(file[1]), reverse=True)[:40]


FILES = _files()


@contextmanager
def agent(daemon: OwnDaemon, *, last_prompt: int, turns: int) -> Iterator[Agent]:
    """An agent that has said nothing yet. It asks over the Unix socket, as it would over TCP."""
    transport = httpx2.HTTPTransport(uds=str(daemon.socket))
    with OpenAI(
        base_url="http://erllama/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.Client(transport=transport, timeout=300),
    ) as client:
        yield Agent(daemon, client, last_prompt, turns)


def main() -> int:
    """Works, and prints a line a turn."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--last-prompt", type=int, default=8_130, help="about how many tokens the last prompt has")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with own_daemon() as daemon, agent(daemon, last_prompt=given.last_prompt, turns=given.turns) as worker:
        for number in range(given.turns):
            if number == given.turns // 2:
                daemon.restart()
                print("the daemon was restarted", flush=True)
            print(worker.work(), flush=True)
        edited = worker.edit(given.turns // 2 - (given.turns // 2 + 1) % 2)
        print(f"edited: prompt {edited.prompt}, cached {edited.cached} of {edited.before} before the edited message")
    restarted = worker.turns[given.turns // 2]
    is_good = worker.share >= SHARE and restarted.share >= SHARE and edited.cached >= edited.before
    if given.json:
        print(json.dumps({"share": worker.share, "restarted": restarted.share, "edited": edited.share}))
    print(
        f"agent: {given.turns} turns, the last prompt {worker.turns[-1].prompt} tokens, "
        f"reused {worker.share:.1%} of what was sent before, {restarted.share:.1%} right after the restart: "
        f"{'good' if is_good else 'FAILED'}"
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
