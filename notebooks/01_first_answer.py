# %% [markdown]
# # A first answer
#
# A question, its evidence, an answer in which every sentence is cited and verified, and a check of the record.
#
# *Research software, not a medical device.* The reports are Open-i's (Indiana University, CC BY-NC-ND 4.0), read from an
# installed package; nothing is fetched.

# %%
import rag
from small_index import build

index = build()
engine = rag.Engine.open(index)
index.name, index.version

# %% [markdown]
# ## Ask about a study

# %%
answer = engine.ask("Is there a pleural effusion?", study="CXR1")
print(answer.decision, "·", answer.answer)

# %% [markdown]
# Each citation is an exact quote: a span of the document's text, the same bytes today and in an audit.

# %%
for citation in answer.citations:
    print(f"[{citation.document_id}] “{citation.quote}” — {citation.verdict}, {citation.score:.2f}")

# %% [markdown]
# ## Ask about what is known

# %%
from matplotlib import pyplot

general = engine.ask("What do drusen look like?")
print(general.decision, "·", general.answer)

# %% [markdown]
# How many passages the answer may rest on is decided by where the similarity falls: the gap rule of MMed-RAG. The curve below
# shows the scores of what was found, and where it was cut.

# %%
selection = general.selection
scores = [candidate.score for candidate in selection.candidates]
figure, axes = pyplot.subplots(figsize=(6, 3))
axes.plot(range(1, len(scores) + 1), scores, marker="o")
axes.axvline(selection.kept + 0.5, linestyle="--", color="tab:red", label=f"kept {selection.kept} ({selection.rule})")
axes.set_xlabel("rank")
axes.set_ylabel("fused score")
axes.set_ylim(bottom=0)
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## Ask what the evidence cannot say
#
# An honest refusal is an answer, too.

# %%
refused = engine.ask("Which dose of warfarin should this patient take?", study="CXR1")
print(refused.decision, "·", refused.reason)

# %% [markdown]
# ## Everything is on record
#
# The ledger is a chain of hashes. `verify` checks the record against the evidence as of its version; `replay` answers again.

# %%
print(engine.verify(answer.audit_id).ok, engine.replay(answer.audit_id).outcome)
