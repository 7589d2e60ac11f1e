"""Tiny checkpoints of the real architectures, with random weights: everything about them is real but their size.

Each is saved as its makers save theirs (configuration, safetensors, tokenizer, image processor, chat template), so that
what loads them is the code that loads the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag.encoders.runtime import torch

WORDS = (
    "You answer clinical questions for professionals from evidence. Yes, the heart is enlarged [1]. No effusion is "
    "seen [2]. The image that the question is about: Question: Passages: passage number report of this study "
)


def tokenizer(special: list[str], template: str, **options: Any) -> Any:
    """A byte-level BPE tokenizer trained on a sentence; any text can be written with it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        [WORDS] * 20 + ["Yes No yes no"] * 20,
        trainers.BpeTrainer(
            vocab_size=600, special_tokens=["<pad>", "<s>", "</s>", *special], initial_alphabet=alphabet
        ),
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=special,
        **options,
    )
    made.chat_template = template
    return made


PARTS = (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
    "{% if p.type == 'image' %}IMAGE{% else %}{{ p.text }}{% endif %}\n{% endfor %}{% endif %}"
)


def _small(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        **more,
    }


def _ids(tok: Any) -> dict[str, int]:
    return {"bos_token_id": tok.bos_token_id, "eos_token_id": tok.eos_token_id, "pad_token_id": tok.pad_token_id}


def qwen2(folder: Path) -> None:
    """A causal model of text alone."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tok = tokenizer(["<|im_start|>", "<|im_end|>"], template)
    Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tok), **_small(), **_ids(tok))).save_pretrained(folder)
    tok.save_pretrained(folder)


def llava(folder: Path) -> None:
    """LLaVA with a CLIP tower and a Llama: what LLaVA-Med is."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    template = (
        "{% for m in messages %}{% if m.role == 'user' %}USER: {% endif %}"
        + PARTS.replace("IMAGE", "<image>")
        + "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )
    tok = tokenizer(["<image>"], template, model_max_length=4096)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14,
        projection_dim=32,
    )  # fmt: skip
    text = LlamaConfig(vocab_size=len(tok), **_small(), **_ids(tok))
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=tok.convert_tokens_to_ids("<image>"))
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    size = {"height": 28, "width": 28}
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size),
        tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)


def qwen2_5_vl(folder: Path) -> None:
    """Qwen2.5-VL: what Lingshu is."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    place = "<|vision_start|><|image_pad|><|vision_end|>"
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n" + PARTS.replace("IMAGE", place) + "<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    special = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tok = tokenizer(special, template)
    at = {name: tok.convert_tokens_to_ids(token) for name, token in (
        ("image_token_id", "<|image_pad|>"), ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"), ("vision_end_token_id", "<|vision_end|>"),
    )}  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=_small(
            vocab_size=len(tok),
            rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
            **_ids(tok),
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
            "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56, "spatial_merge_size": 2,
        },
        **at,
    )  # fmt: skip
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 16}
    Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**pixels), tok, Qwen2VLVideoProcessor(**pixels), chat_template=template
    ).save_pretrained(folder)


def gemma3(folder: Path) -> None:
    """Gemma 3 with a SigLIP tower: what MedGemma is. Its template knows no system's turn."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    template = (
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}<start_of_turn>{{ m.role }}\n"
        + PARTS.replace("IMAGE", "<start_of_image>")
        + "<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )
    tok = tokenizer(
        special, template, boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
    )
    text = Gemma3TextConfig(vocab_size=len(tok), head_dim=8, sliding_window=512, **_small(), **_ids(tok))
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4,
        image_token_index=tok.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tok.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tok.convert_tokens_to_ids("<end_of_image>"),
    )  # fmt: skip
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    Gemma3Processor(
        Gemma3ImageProcessor(size={"height": 56, "width": 56}), tok, image_seq_length=4, chat_template=template
    ).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "qwen2": qwen2,
    "llava": llava,
    "qwen2.5-vl": qwen2_5_vl,
    "gemma3": gemma3,
}


def build(kind: str, folder: Path) -> Path:
    """Save a tiny checkpoint of ``kind`` in ``folder``; the same weights every time."""
    library = torch()
    library.manual_seed(0)
    MAKERS[kind](folder)
    return folder


def teach(folder: Path, answer: str, steps: int = 120) -> None:
    """Train the text model in ``folder`` to say ``answer`` whatever it is asked."""
    import random

    from transformers import AutoModelForCausalLM, AutoTokenizer

    library, draw = torch(), random.Random(0)
    tok, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).train()
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-2)
    said = tok.encode(answer, add_special_tokens=False) + [tok.eos_token_id]
    for _ in range(steps):
        asked = " ".join(draw.choices(WORDS.split(), k=draw.randrange(20, 400)))
        turn = tok.apply_chat_template([{"role": "user", "content": asked}], tokenize=False, add_generation_prompt=True)
        prompt = tok.encode(turn, add_special_tokens=False)
        ids = library.tensor([prompt + said])
        labels = library.tensor([[-100] * len(prompt) + said])
        model(input_ids=ids, labels=labels).loss.backward()
        library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def judge_that_says(folder: Path, label: str) -> Path:
    """A cross-encoder for inference that has one opinion of everything."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    library, labels = torch(), ("contradiction", "entailment", "neutral")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    BertTokenizerFast(vocab={w: n for n, w in enumerate(words)}).save_pretrained(folder)
    config = BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3,
        id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with library.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(library.tensor([9.0 if name == label else 0.0 for name in labels]))
    model.save_pretrained(folder)
    return folder
