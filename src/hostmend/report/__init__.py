"""Reports of a run: one model (``model.build``), several renderings of it."""
