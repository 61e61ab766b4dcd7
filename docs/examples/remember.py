"""Reads a text with a model, and remembers it: the next run computes nothing and has the same logits, bit for bit.

python remember.py MODEL.gguf TEXT.txt CACHE_FOLDER
"""

import ctypes
import hashlib
import sys
from pathlib import Path

import llama_cpp as llama

from erllama_cache.block import Block, SaveReason
from erllama_cache.cuts import cuts
from erllama_cache.keys import BlockKind, pack_tokens
from erllama_cache.model.fingerprint import safe_fingerprint
from erllama_cache.store import Store

model_path, text_path, folder = map(Path, sys.argv[1:])
silence = llama.llama_log_callback(lambda _level, _text, _data: None)
llama.llama_log_set(silence, None)
model = llama.llama_model_load_from_file(bytes(model_path), llama.llama_model_default_params())
params = llama.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_seq_max = 8192, 256, 2  # sequence 0 is ours, 1 is where states pass in and out
params.kv_unified = params.swa_full = True  # so that any run of tokens can be copied from one to the other
context = llama.llama_init_from_model(model, params)
memory, vocabulary = llama.llama_get_memory(context), llama.llama_model_get_vocab(model)
text, buffer = text_path.read_bytes(), (llama.llama_token * 8192)()
count = llama.llama_tokenize(vocabulary, text, len(text), buffer, len(buffer), True, False)
if count <= 0:
    sys.exit("the text is empty, or has more than 8,192 tokens")
tokens = list(buffer[:count])

# Whatever changes the bits of a state has to change the root: the model, its software, its settings.
settings = f"{llama.__version__} ctx=8192 {llama.llama_print_system_info()!r}".encode()
root = hashlib.sha256(safe_fingerprint(model_path, folder / "fingerprints.sqlite3") + settings).digest()
start, parent, logits, read = 0, root, b"", 0
with Store(folder, ram_bytes=64 << 20, disk_bytes=1 << 30) as store:
    for block in map(store.load, store.chain(root, tokens, ends := cuts(len(tokens), block_tokens=256))):
        if block is None:
            break  # damaged, or gone since it was found: from here on the text is read again
        state = (ctypes.c_uint8 * len(block.payload)).from_buffer_copy(block.payload)
        llama.llama_state_seq_set_data(context, state, len(state), 1)
        llama.llama_memory_seq_cp(memory, 1, 0, block.start, block.end)
        llama.llama_memory_seq_rm(memory, 1, -1, -1)
        start, parent, logits = block.end, block.key, block.logits
    for end in (end for end in ends if end > start):
        run, read = (llama.llama_token * (end - start))(*tokens[start:end]), read + end - start
        llama.llama_decode(context, llama.llama_batch_get_one(run, len(run)))
        llama.llama_memory_seq_cp(memory, 0, 1, start, end)
        state = (ctypes.c_uint8 * llama.llama_state_seq_get_size(context, 1))()
        llama.llama_state_seq_get_data(context, state, len(state), 1)
        llama.llama_memory_seq_rm(memory, 1, -1, -1)
        logits = ctypes.string_at(llama.llama_get_logits_ith(context, -1), 4 * llama.llama_vocab_n_tokens(vocabulary))
        names = {"root": root, "parent": parent, "kind": BlockKind.PREFILL, "reason": SaveReason.COLD, "start": start}
        block = Block(**names, tokens=pack_tokens(tokens[start:end]), logits=logits, payload=bytes(state))
        store.save(block)
        start, parent = end, block.key
print(f"{read} of {len(tokens)} tokens read; logits {hashlib.sha256(logits).hexdigest()}")
