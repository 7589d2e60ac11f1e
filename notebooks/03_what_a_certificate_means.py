# %% [markdown]
# # What a certificate means
#
# A certificate says: *with probability at least 1 − δ over the calibration questions, at most a share α of the questions that
# are answered is answered wrongly* — for questions like those that it was computed from. This notebook computes one, shows
# what it allows, simulates how often the promise breaks, and shows how it breaks when the questions change.

# %%
import numpy as np
import rag
from matplotlib import pyplot
from small_index import build

index = build()
engine = rag.Engine.open(index)

# %% [markdown]
# ## Labelled questions
#
# Their answers come from the codes that people gave the reports, never from our own reader.

# %%
questions = rag.synthesize(index, count=600)
print(len(questions), "questions, one a patient; the first:", questions[0].question, "→", questions[0].answer)

# %%
ALPHA, DELTA = 0.1, 0.05
calibration = rag.calibrate(engine, questions, alpha=ALPHA, delta=DELTA)
print(calibration.report())

# %% [markdown]
# ## Risk and coverage
#
# The higher the confidence that is asked for, the fewer questions are answered, and the fewer of those wrongly. The certified
# point is the one of highest coverage whose risk was *shown* to be below α, not merely seen to be.

# %%
(part,) = calibration.parts
found = part.certification
figure, axes = pyplot.subplots(figsize=(6, 3.5))
curve = [(coverage, risk) for _, coverage, risk in part.curve if coverage > 0]
axes.plot(*zip(*curve, strict=True), marker=".", label="observed, by threshold of confidence")
axes.axhline(ALPHA, linestyle="--", color="tab:red", label=f"alpha = {ALPHA:g}")
if found.policy is not None:
    axes.plot([found.coverage], [found.risk], "*", markersize=14, label=f"certified: {found.policy}")
axes.set_xlabel("coverage: share of questions answered")
axes.set_ylabel("risk: share of answers that are wrong")
axes.set_ylim(bottom=0)
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## How often does the promise break?
#
# A simulation, with made-up systems whose true risk is known. Each repetition draws 300 answers of a system that is wrong a
# little more often than α; a certificate given to it is a broken promise. The share of broken promises must stay below δ.

# %%
from rag.risk_control.bounds import exact_binomial

random = np.random.default_rng(0)
true_risks = np.linspace(0.05, 0.2, 16)
ANSWERS, REPETITIONS = 300, 4000
given = [
    float(
        np.mean(
            exact_binomial(random.binomial(ANSWERS, risk, REPETITIONS), np.full(REPETITIONS, ANSWERS), ALPHA) <= DELTA
        )
    )
    for risk in true_risks
]
figure, axes = pyplot.subplots(figsize=(6, 3.5))
axes.plot(true_risks, given, marker=".")
axes.axvline(ALPHA, linestyle="--", color="tab:red", label="alpha")
axes.axhline(DELTA, linestyle=":", color="tab:grey", label="delta")
axes.set_xlabel("true risk")
axes.set_ylabel("share of calibrations that give a certificate")
axes.legend()
figure.tight_layout()
broken = [share for risk, share in zip(true_risks, given, strict=True) if risk > ALPHA]
print(f"most broken promises at any risk above alpha: {max(broken):.3f} (allowed: {DELTA:g})")

# %% [markdown]
# ## What it does not mean
#
# Nothing is promised about one answer, nor about other questions. Below, a share of the questions after calibration is of a kind
# that the calibration never saw and on which the system is wrong half of the time. The risk among answers passes α soon: hence
# the product refuses a certificate to forms of questions that it was not tested on, and `rag index drift` watches the rest.

# %%
shares = np.linspace(0, 0.4, 21)
seen, unseen = 0.05, 0.5
figure, axes = pyplot.subplots(figsize=(6, 3))
axes.plot(shares, (1 - shares) * seen + shares * unseen)
axes.axhline(ALPHA, linestyle="--", color="tab:red", label="alpha")
axes.set_xlabel("share of questions of an unseen kind")
axes.set_ylabel("risk among answers")
axes.legend()
figure.tight_layout()

# %% [markdown]
# A question inside the certificate, and one outside:

# %%
for text in ("Is there a pleural effusion?", "Is the effusion larger than 5 cm?"):
    answer = engine.ask(text, study="CXR1")
    print(f"{text}  {answer.decision}, {answer.certificate.status}: {answer.certificate.why}")
