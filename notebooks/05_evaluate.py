# %% [markdown]
# # Evaluate
#
# A suite is a way to measure; `rag evaluate SUITE FILE --index NAME` runs any of them. Figures come with 95% intervals that
# resample patients, never questions.

# %%
import rag
from matplotlib import pyplot
from small_index import build

index = build()
engine = rag.Engine.open(index)
questions = [q.labelled() for q in rag.synthesize(index, count=400, seed=1)]

# %%
report = rag.evaluate(engine, "questions", questions)
print(report.table())

# %% [markdown]
# The first row is the index as it answers. The others are what it must be better than: a constant, what the words of the question
# give away, the same generator without evidence or with another patient's. A report without such rows says little.

# %% [markdown]
# ## Does confidence mean anything?
#
# Answers are put into five bins of confidence; in each, the share that is right should be near the confidence (the dashed
# line), and the bins should not all be the same.

# %%
answers = engine.ask_many([q.question for q in questions], record=False)
given = [(a.confidence, a.side == q.answer) for a, q in zip(answers, questions, strict=True) if a.side]
given.sort()
bins = [given[i : i + max(1, len(given) // 5)] for i in range(0, len(given), max(1, len(given) // 5))]
figure, axes = pyplot.subplots(figsize=(4, 4))
axes.plot([sum(c for c, _ in b) / len(b) for b in bins], [sum(r for _, r in b) / len(b) for b in bins], "o-")
axes.plot([0.5, 1], [0.5, 1], linestyle="--", color="tab:grey")
axes.set_xlabel("confidence")
axes.set_ylabel("share right")
figure.tight_layout()

# %% [markdown]
# ## Is another patient's report believed?
#
# Each question is asked again with a report beside its own that says the contrary. Over-reliance is how often the answer then
# turns wrong.

# %%
reliance = rag.evaluate(engine, "reliance", questions[:100])
print(reliance.table())
