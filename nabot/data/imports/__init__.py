"""Other programs' files become conversations, preferences or passages. In: paths, out: items (`types.Item`)."""
