"""Anything is measured on labelled questions: a suite asks, and a report holds figures, intervals and baselines."""
