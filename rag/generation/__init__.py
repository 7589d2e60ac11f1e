"""Who writes drafts: the reader, a model here or a server; ``base.Generator`` is what each of them is."""
