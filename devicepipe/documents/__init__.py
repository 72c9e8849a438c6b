"""A document model and its renderings: PDF, HTML, CSV. Content comes from the bundle only.

The way through: a stage reads the bundle into a `ReleaseRecord` and the texts into a dict; `render_documents` gives the files.
Everything in this room but `load_texts` is a pure function: the same record gives the same bytes, on any machine, at any time.
"""
