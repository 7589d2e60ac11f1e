"""How sure an answer is, from what several witnesses say of it.

Without calibration data the confidence is the generator's own, times the support that the verifier found. With them,
the witnesses can be weighed (:class:`Combiner`). The weights are learned on the part of the labelled questions that
also orders the policies, and never on the part that the certificate is tested on: given the weights, the tested answers
are a fresh sample, and the guarantee holds whatever the weights are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rag.language.clinical_text import Texts
from rag.language.question import Asked
from rag.language.reading import read_passage
from rag.types import Draft, Evidence

# Of a model's reading of literature, by the log-odds that it gives to its side: fitted by logistic regression on what
# the compact Med-LVLM reads of 200 abstracts of PubMedQA and of the snippets found for BioASQ 7B, none of which it has
# seen; each of the two counts half. As sure as it is of nearly all, it is right in 55 to 95 of 100.
_READ, _BY_ODDS = 0.05, 0.15
_LEAST = 1e-4  # probabilities are told with four digits
_EDGE = 0.01  # no witness counts as surer than 99%
_SPREAD = 1.0  # standard deviation of the weights before any data are seen


class Signals(NamedTuple):
    """What is known of an answer, each in [0, 1] and larger for a surer one.

    Attributes:
        generator: confidence of the draft: for a language model the probability of the verdict's token.
        verifier: mean support of the citations that passed.
        agreement: share of the evidence that speaks for the verdict, read without the generator; 0.5 where none does.
        similarity: score of the best piece of evidence: its relevance, where that was judged.
        witness: probability that a second witness gives the verdict; 0.5 where none was asked or it does not know.
        strength: of the passage that says it most plainly: asserted of the same thing, in the question's words; 0.5
            where none does.
    """

    generator: float
    verifier: float
    agreement: float
    similarity: float
    witness: float = 0.5
    strength: float = 0.5

    @property
    def pooled(self) -> float:
        """Confidence where no combiner was learned: the draft's times its support, and half a word of the witness."""
        own = self.generator * self.verifier
        if self.witness == 0.5:
            return own
        own_odds, witness_odds = _log_odds(np.array([own, self.witness]))
        return float(_sigmoid(own_odds + 0.5 * witness_odds))


def of_reading(probability: float) -> float:
    """P(right), in (0.5, 0.81), of a yes or no that a model reads of literature and gives this probability.

    >>> of_reading(0.5), of_reading(0.999)
    (0.5125, 0.7476)
    """
    p = min(1 - _LEAST, max(_LEAST, probability, 1 - probability))
    return round(1 / (1 + math.exp(-_READ - _BY_ODDS * math.log(p / (1 - p)))), 4)


def signals_of(
    draft: Draft, support: float, asked: Asked, evidence: Sequence[Evidence], texts: Texts, similarity: float
) -> Signals:
    """The signals of a draft whose citations have mean ``support``, from the evidence that it was written from.

    ``agreement`` is (1 + a) / (2 + n), where n passages speak of what is asked and a is the sum of their probabilities
    of the draft's verdict (Laplace's rule of succession).
    """
    told = evidence if draft.verdict else ()
    read = [read_passage(asked.in_general if e.in_general else asked, e.text, texts) for e in told]
    spoken = [r.probability for r in read if r.mentioned]
    agreeing = sum(p if draft.verdict == "yes" else 1 - p for p in spoken)
    saying = [said.weight for r in read if (said := r.yes if draft.verdict == "yes" else r.no)]
    signals = Signals(
        generator=draft.confidence,
        verifier=support,
        agreement=(1 + agreeing) / (2 + len(spoken)),
        similarity=min(1.0, max(0.0, similarity)),
        strength=min(1.0, max(saying, default=0.5)),
    )
    return Signals(*(round(v, 4) for v in signals))


class Combiner(BaseModel):
    """P(right | signals, form) = σ(b + c_form + Σ w_i logit(s_i)): a logarithmic opinion pool of learned weights.

    Signals are clipped to [0.01, 0.99]. With w = (1, 0, 0, 0) and b = c = 0 it is the generator's own confidence. There
    is a weight for each of the first signals that anybody gave: without a fifth no second witness was heard. c_form
    says how much surer or less sure answers to questions of one form are than these signals tell. (Genest and Zidek
    1986, "Combining probability distributions"; learned as in stacking.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: tuple[float, ...] = Field(
        min_length=4, max_length=len(Signals._fields), description="Of the signals in their order; none is negative."
    )
    intercept: float
    forms: dict[str, float] = Field(default_factory=dict, description="c of each form that it was learned from.")
    n: int = Field(ge=1, description="Answers that they were learned from.")

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Combiner:
        """From the weights with the intercept after them, as an answer's certificate shows them."""
        return cls.model_validate({"weights": tuple(numbers[:-1]), "intercept": numbers[-1], "n": 1})

    def at(self, form: str) -> Combiner:
        """The same for questions of one form."""
        return self.model_copy(update={"intercept": round(self.intercept + self.forms.get(form, 0.0), 6), "forms": {}})

    def __call__(self, signals: Signals) -> float:
        """P(right), in (0, 1); of questions of no form in particular."""
        return float(self.all(np.asarray([signals]))[0])

    def all(self, signals: NDArray[np.float64], forms: Sequence[str] = ()) -> NDArray[np.float64]:
        """The same for many: (questions, …, signals) -> (questions, …), with the form of each question. NaN stays."""
        heard = _log_odds(signals)[..., : len(self.weights)] @ np.asarray(self.weights) + self.intercept
        if forms:
            own = np.array([self.forms.get(form, 0.0) for form in forms])
            heard = heard + own.reshape(-1, *[1] * (heard.ndim - 1))
        return np.asarray(_sigmoid(heard))

    @classmethod
    def fit(
        cls,
        signals: NDArray[np.float64],
        right: NDArray[np.bool_],
        weight: NDArray[np.float64],
        forms: Sequence[str] = (),
    ) -> Combiner:
        """Learn from answers whose rightness is known.

        Logistic regression with weights >= 0, since no witness's doubt may raise the confidence, and a normal prior of
        unit variance around the generator's own confidence: few answers leave it nearly as it is.

        Args:
            signals: shape (answers, signals), 4 at least.
            right: shape (answers,).
            weight: of each answer, shape (answers,); answers of one group share theirs.
            forms: of each answer's question.
        """
        given = np.flatnonzero((signals != 0.5).any(axis=0))
        heard = max(4, int(given.max(initial=0)) + 1)
        kinds = sorted(set(forms))
        x = np.hstack(
            [
                _log_odds(signals[..., :heard]),
                np.array([[f == k for k in kinds] for f in forms]).reshape(len(right), len(kinds)),
            ]
        )
        sign = np.where(right, 1.0, -1.0)
        prior = np.append(np.eye(1, heard + len(kinds))[0], 0.0)

        def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            margin = sign * (x @ theta[:-1] + theta[-1])
            pull = weight * -sign * _sigmoid(-margin)
            away = (theta - prior) / _SPREAD**2
            value = weight @ np.logaddexp(0.0, -margin) + 0.5 * away @ (theta - prior)
            return float(value), np.append(pull @ x, pull.sum()) + away

        bounds = [(0.0, None)] * heard + [(None, None)] * (len(kinds) + 1)
        found = import_module("scipy.optimize").minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B")
        *values, intercept = (round(float(v), 6) for v in found.x)
        own: Mapping[str, float] = dict(zip(kinds, values[heard:], strict=True))
        return cls.model_validate({"weights": values[:heard], "intercept": intercept, "forms": own, "n": len(right)})


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(p, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))
