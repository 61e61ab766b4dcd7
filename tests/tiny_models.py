"""Tiny models with random weights, one for each way llama.cpp remembers.

Small enough to load in a test, real to llama.cpp.
They know nothing, but what they say depends on every token before and on where it stands, as with a real model.
"""

from __future__ import annotations

import enum
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float32]

CONTEXT = 8192
"""Tokens the models claim to be trained on."""

EMBEDDING = 64
FEED_FORWARD = 128
HEADS, KEY_VALUE_HEADS, HEAD = 2, 1, 32
"""Heads of a block size's width, so that the cache can be quantized as well."""

SLIDING_WINDOW = 64
"""Tokens that a local layer of the sliding-window model sees; every sixth layer sees all."""

ATTENTION_LAYERS = (2, 4)
"""The layers of the hybrid model that attend; the others are short convolutions."""

SHORT_CONVOLUTION = 3
SSM_CONVOLUTION, SSM_INNER, SSM_STATE, SSM_TIME_STEP_RANK = 4, 2 * EMBEDDING, 16, 4
NORM_EPSILON = 1e-5

END_OF_TEXT, MESSAGE_START, MESSAGE_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (END_OF_TEXT, MESSAGE_START, MESSAGE_END)
MERGES = ("Ġ Ġ", "Ċ Ċ")
"""Pairs that are one token: two spaces and two newlines. Everything else is a token a byte."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class TinyModel(enum.StrEnum):
    """How a model remembers what it read."""

    DENSE = "dense"
    SLIDING_WINDOW = "sliding-window"
    HYBRID = "hybrid"
    RECURRENT = "recurrent"


ARCHITECTURES = {
    TinyModel.DENSE: gguf.MODEL_ARCH.LLAMA,
    TinyModel.SLIDING_WINDOW: gguf.MODEL_ARCH.GEMMA3,
    TinyModel.HYBRID: gguf.MODEL_ARCH.LFM2,
    TinyModel.RECURRENT: gguf.MODEL_ARCH.MAMBA,
}

LAYERS = {
    TinyModel.DENSE: 4,
    TinyModel.SLIDING_WINDOW: 6,
    TinyModel.HYBRID: 6,
    TinyModel.RECURRENT: 4,
}


def write_tiny_model(
    kind: TinyModel, path: Path, *, seed: int = 1, sentencepiece: bool = False, chat_template: str = CHAT_TEMPLATE
) -> Path:
    """Writes a model of less than 2 MB to `path` and gives `path` back; equal seeds write equal bytes.

    Its vocabulary holds every byte as the token of the byte's number, so any text tokenizes, and the control tokens
    of ChatML. With `sentencepiece` the bytes are SentencePiece's fallback tokens instead. Its weights are F32.
    """
    architecture = ARCHITECTURES[kind]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name(f"tiny {kind.value}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS[kind])
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    add_shape(writer, kind)
    if sentencepiece:
        add_sentencepiece_vocabulary(writer)
    else:
        add_vocabulary(writer)
    writer.add_chat_template(chat_template)
    for name, tensor in Weights(kind, seed).all().items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_shape(writer: gguf.GGUFWriter, kind: TinyModel) -> None:
    """The metadata that only this kind of model has."""
    if kind is TinyModel.RECURRENT:
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_ssm_conv_kernel(SSM_CONVOLUTION)
        writer.add_ssm_inner_size(SSM_INNER)
        writer.add_ssm_state_size(SSM_STATE)
        writer.add_ssm_time_step_rank(SSM_TIME_STEP_RANK)
        return
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_freq_base(10_000.0)
    match kind:
        case TinyModel.HYBRID:
            writer.add_head_count_kv([KEY_VALUE_HEADS * (layer in ATTENTION_LAYERS) for layer in range(LAYERS[kind])])
            writer.add_shortconv_l_cache(SHORT_CONVOLUTION)
        case TinyModel.SLIDING_WINDOW:
            writer.add_head_count_kv(KEY_VALUE_HEADS)
            writer.add_sliding_window(SLIDING_WINDOW)
        case TinyModel.DENSE:
            writer.add_head_count_kv(KEY_VALUE_HEADS)
            writer.add_rope_dimension_count(HEAD)


def byte_names() -> list[str]:
    """The printable character that stands for each byte in a GPT-2 vocabulary, in the order of the bytes."""
    shown = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]


def vocabulary() -> list[str]:
    """Every token's name, in the order of their numbers."""
    return [*byte_names(), *(merge.replace(" ", "") for merge in MERGES), *CONTROL_TOKENS]


def add_sentencepiece_vocabulary(writer: gguf.GGUFWriter) -> None:
    """As many tokens as `vocabulary`; text begins with a space of SentencePiece's own, as in Llama 2."""
    pieces = ["\u2581", "\u2581\u2581"]
    tokens = [*(f"<0x{byte:02X}>" for byte in range(256)), *pieces, *CONTROL_TOKENS]
    kinds = [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(pieces)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([*kinds, *[gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)])
    writer.add_bos_token_id(tokens.index(MESSAGE_START))
    writer.add_eos_token_id(tokens.index(MESSAGE_END))


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """A byte-level vocabulary and its special tokens."""
    tokens = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in CONTROL_TOKENS else gguf.TokenType.NORMAL for token in tokens]
    )
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(tokens.index(END_OF_TEXT))
    writer.add_eos_token_id(tokens.index(MESSAGE_END))
    writer.add_add_bos_token(False)


class Weights:
    """The random tensors of one model, drawn from its seed alone."""

    def __init__(self, kind: TinyModel, seed: int) -> None:
        self._kind = kind
        self._random = np.random.default_rng([seed, list(TinyModel).index(kind)])

    def all(self) -> dict[str, Tensor]:
        """Every tensor of the model, by its name in the file."""
        tensors = {"token_embd.weight": self._embedding(), "output.weight": self._output()}
        norm = "token_embd_norm.weight" if self._kind is TinyModel.HYBRID else "output_norm.weight"
        tensors[norm] = self._norm(EMBEDDING)
        for layer in range(LAYERS[self._kind]):
            parts = self._recurrent() if self._kind is TinyModel.RECURRENT else self._transformer(layer)
            tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in parts.items()}
        return tensors

    def _transformer(self, layer: int) -> dict[str, Tensor]:
        convolution = self._kind is TinyModel.HYBRID and layer not in ATTENTION_LAYERS
        tensors = {
            "attn_norm.weight": self._norm(EMBEDDING),
            **(self._convolution() if convolution else self._attention()),
            "ffn_norm.weight": self._norm(EMBEDDING),
            "ffn_gate.weight": self._matrix(FEED_FORWARD, EMBEDDING),
            "ffn_up.weight": self._matrix(FEED_FORWARD, EMBEDDING),
            "ffn_down.weight": self._matrix(EMBEDDING, FEED_FORWARD),
        }
        if self._kind is TinyModel.SLIDING_WINDOW:
            tensors["post_attention_norm.weight"] = self._norm(EMBEDDING)
            tensors["post_ffw_norm.weight"] = self._norm(EMBEDDING)
        return tensors

    def _attention(self) -> dict[str, Tensor]:
        tensors = {
            "attn_q.weight": self._matrix(HEADS * HEAD, EMBEDDING, gain=2.0),
            "attn_k.weight": self._matrix(KEY_VALUE_HEADS * HEAD, EMBEDDING),
            "attn_v.weight": self._matrix(KEY_VALUE_HEADS * HEAD, EMBEDDING),
            "attn_output.weight": self._matrix(EMBEDDING, HEADS * HEAD),
        }
        if self._kind is not TinyModel.DENSE:
            tensors["attn_q_norm.weight"] = 2.0 * self._norm(HEAD)
            tensors["attn_k_norm.weight"] = self._norm(HEAD)
        return tensors

    def _convolution(self) -> dict[str, Tensor]:
        return {
            "shortconv.conv.weight": self._matrix(EMBEDDING, SHORT_CONVOLUTION),
            "shortconv.in_proj.weight": self._matrix(3 * EMBEDDING, EMBEDDING),
            "shortconv.out_proj.weight": self._matrix(EMBEDDING, EMBEDDING),
        }

    def _recurrent(self) -> dict[str, Tensor]:
        decay = -np.arange(1, SSM_STATE + 1, dtype=np.float32)
        step = np.exp(self._random.uniform(np.log(1e-3), np.log(1e-1), SSM_INNER))
        return {
            "attn_norm.weight": self._norm(EMBEDDING),
            "ssm_in.weight": self._matrix(2 * SSM_INNER, EMBEDDING),
            "ssm_conv1d.weight": self._matrix(SSM_INNER, SSM_CONVOLUTION),
            "ssm_conv1d.bias": 0.1 * self._normal(SSM_INNER),
            "ssm_x.weight": self._matrix(SSM_TIME_STEP_RANK + 2 * SSM_STATE, SSM_INNER, gain=4.0),
            "ssm_dt.weight": self._matrix(SSM_INNER, SSM_TIME_STEP_RANK),
            "ssm_dt.bias": np.log(np.expm1(step)).astype(np.float32),
            "ssm_a": np.tile(decay, (SSM_INNER, 1)),
            "ssm_d": self._norm(SSM_INNER),
            "ssm_out.weight": self._matrix(EMBEDDING, SSM_INNER, gain=4.0),
        }

    def _embedding(self) -> Tensor:
        """A vector a token, of the size of the layers' outputs; Gemma multiplies it by the root of its length."""
        shrink = EMBEDDING**-0.5 if self._kind is TinyModel.SLIDING_WINDOW else 1.0
        return np.float32(shrink) * self._normal(len(vocabulary()), EMBEDDING)

    def _output(self) -> Tensor:
        """Text is likelier than other bytes, and an answer seldom ends by itself: its length is the caller's."""
        likely = np.full((len(vocabulary()), 1), 0.5, dtype=np.float32)
        likely[ord(" ") : ord("~") + 1] = 1.0
        likely[-len(CONTROL_TOKENS) :] = 0.0
        return likely * self._matrix(len(vocabulary()), EMBEDDING, gain=2.0)

    def _matrix(self, rows: int, columns: int, *, gain: float = 1.0) -> Tensor:
        """A projection that keeps the size of what it projects, times `gain`."""
        return np.float32(gain / columns**0.5) * self._normal(rows, columns)

    def _norm(self, size: int) -> Tensor:
        return 1.0 + np.float32(0.1) * self._normal(size)

    def _normal(self, *shape: int) -> Tensor:
        return self._random.standard_normal(shape, dtype=np.float32)
