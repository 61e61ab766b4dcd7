"""A tiny BERT with random weights: it turns a text into one vector, and can do nothing else."""

from __future__ import annotations

import string
from pathlib import Path

import gguf
import numpy as np
from tiny_models import Tensor

CONTEXT = 128
"""The longest text in tokens, `[CLS]` and `[SEP]` included."""

EMBEDDING, FEED_FORWARD, HEADS, LAYERS = 64, 128, 2, 2
SENTENCE_KINDS = 2
NORM_EPSILON = 1e-12

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORD_START = "\u2581"
CHARACTERS = string.digits + string.ascii_lowercase + string.punctuation


def write_tiny_embedder(
    path: Path, *, seed: int = 1, pooling: gguf.PoolingType = gguf.PoolingType.MEAN, context: int = CONTEXT
) -> Path:
    """Writes a model of less than 1 MB to `path` and gives `path` back; equal seeds write equal bytes.

    Every word of ASCII is a token for its start and one a character, in lower case; other words are `[UNK]`.
    """
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    writer.add_name("tiny embedder")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(NORM_EPSILON)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    add_vocabulary(writer)
    for name, tensor in Weights(seed).all(context).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vocabulary() -> list[str]:
    """Every token's name, in the order of their numbers."""
    return [*SPECIAL_TOKENS, WORD_START, *CHARACTERS]


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """A WordPiece vocabulary, a token a character, and the tokens around a text."""
    tokens = vocabulary()
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL_TOKENS else gguf.TokenType.NORMAL for token in tokens]
    kinds[tokens.index("[UNK]")] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(SENTENCE_KINDS)
    writer.add_pad_token_id(tokens.index("[PAD]"))
    writer.add_unk_token_id(tokens.index("[UNK]"))
    writer.add_bos_token_id(tokens.index("[CLS]"))
    writer.add_sep_token_id(tokens.index("[SEP]"))
    writer.add_mask_token_id(tokens.index("[MASK]"))


class Weights:
    """The random tensors of one model, drawn from its seed alone."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def all(self, context: int) -> dict[str, Tensor]:
        """Every tensor of a model for texts of `context` tokens, by its name in the file."""
        tensors = {
            "token_embd.weight": self._normal(len(vocabulary()), EMBEDDING),
            "token_types.weight": self._normal(SENTENCE_KINDS, EMBEDDING),
            "position_embd.weight": self._normal(context, EMBEDDING),
            **self._norm("token_embd_norm"),
        }
        for layer in range(LAYERS):
            tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in self._layer().items()}
        return tensors

    def _layer(self) -> dict[str, Tensor]:
        return {
            **self._linear("attn_q", EMBEDDING, EMBEDDING),
            **self._linear("attn_k", EMBEDDING, EMBEDDING),
            **self._linear("attn_v", EMBEDDING, EMBEDDING),
            **self._linear("attn_output", EMBEDDING, EMBEDDING),
            **self._norm("attn_output_norm"),
            **self._linear("ffn_up", FEED_FORWARD, EMBEDDING),
            **self._linear("ffn_down", EMBEDDING, FEED_FORWARD),
            **self._norm("layer_output_norm"),
        }

    def _linear(self, name: str, rows: int, columns: int) -> dict[str, Tensor]:
        """A projection that keeps the size of what it projects."""
        weight = np.float32(columns**-0.5) * self._normal(rows, columns)
        return {f"{name}.weight": weight, f"{name}.bias": np.float32(0.1) * self._normal(rows)}

    def _norm(self, name: str) -> dict[str, Tensor]:
        small = np.float32(0.1)
        return {
            f"{name}.weight": 1.0 + small * self._normal(EMBEDDING),
            f"{name}.bias": small * self._normal(EMBEDDING),
        }

    def _normal(self, *shape: int) -> Tensor:
        return self._random.standard_normal(shape, dtype=np.float32)
