"""Where in an image a finding is: a phrase becomes a heat map and boxes, or "cannot say where" with the reason.

Nothing here is needed for an answer, and no answer waits for it: the regions of an answer are worked out when somebody
asks for them (:mod:`rag.grounding.answers`). What is shown follows what was measured (``knowledge/grounding.toml``).
"""
