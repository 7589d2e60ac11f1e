"""Training the models that find, route and write; from Python as ``rag.train``."""

from rag.training import train as train
