"""A document model and its renderings: PDF, HTML, CSV. Content comes from the bundle only."""
