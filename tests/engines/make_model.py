"""Write a small Llama-like model with random weights and a tokenizer of its own: DIR HIDDEN LAYERS.

It runs with the engine's Python, which has torch and transformers.
"""

import json
import sys
import sysconfig
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

FIRST, BEGIN, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}" + BEGIN + "{{ m['role'] }}\n{{ m['content'] }}" + END + "\n{% endfor %}"
    "{% if add_generation_prompt %}" + BEGIN + "assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte pairs of Python's own library."""
    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    made.train_from_iterator(
        (path.read_text("utf-8", "ignore") for path in library),
        trainers.BpeTrainer(
            vocab_size=4096,
            special_tokens=[FIRST, BEGIN, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=FIRST, eos_token=END, pad_token=FIRST)
    fast.chat_template = TEMPLATE
    return fast


def main(folder: Path, hidden: int, layers: int) -> None:
    """Write the folder."""
    words = tokenizer()
    words.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=4096,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        dtype="bfloat16",
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    (folder / "generation_config.json").write_text(json.dumps(ends))


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
