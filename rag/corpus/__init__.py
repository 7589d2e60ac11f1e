"""Sources to Documents to Passages.

``source.read_source`` gives the records of a source, ``chunking.passages_of`` cuts a document, ``scrub.deidentify``
removes identifiers. Nothing is imported here: sentences are cut in questions, too, which need no reader of files.
"""
