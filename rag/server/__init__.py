"""REST and the page: the engine behind HTTP."""
