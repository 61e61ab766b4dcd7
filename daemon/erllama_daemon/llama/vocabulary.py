"""A model's vocabulary, as llama.cpp reads it from the GGUF file."""

from __future__ import annotations

import ctypes

import llama_cpp

_MAX_PIECE_BYTES = 512


class LlamaVocabulary:
    """Text to tokens and back. It never changes, so any thread may ask."""

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        self.native = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.native)

    @property
    def bos_text(self) -> str:
        """The token that begins every text, written out; empty if there is none."""
        return self._written(llama_cpp.llama_vocab_bos(self.native))

    @property
    def eos_text(self) -> str:
        """The token that ends every text, written out; empty if there is none."""
        return self._written(llama_cpp.llama_vocab_eos(self.native))

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        if first:
            tokens = self._tokenize(text, add_special=True)
            ends = tokens and llama_cpp.llama_vocab_get_add_eos(self.native) and self.is_end(tokens[-1])
            return tokens[:-1] if ends else tokens
        if llama_cpp.llama_vocab_type(self.native) == llama_cpp.LLAMA_VOCAB_TYPE_SPM:
            # SentencePiece begins every text with a space of its own; after a newline it does not.
            lead = self._tokenize("\n", add_special=False)
            tokens = self._tokenize("\n" + text, add_special=False)
            if tokens[: len(lead)] == lead:
                return tokens[len(lead) :]
        return self._tokenize(text, add_special=False)

    def _tokenize(self, text: str, *, add_special: bool) -> list[int]:
        data = text.encode()
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(self.native, data, len(data), buffer, size, add_special, True)
            if count >= 0:
                return buffer[:count]
            size = -count

    def piece(self, token: int) -> bytes:
        return self._piece(token, special=False)

    def control_text(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self.native, token))

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(_MAX_PIECE_BYTES)
        count = llama_cpp.llama_token_to_piece(self.native, token, buffer, _MAX_PIECE_BYTES, 0, special)
        return buffer.raw[: max(count, 0)]

    def _written(self, token: int) -> str:
        return self.control_text(token) if token >= 0 else ""
