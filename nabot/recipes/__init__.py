"""The bodies of the verbs: what `nabot tune`, `exam`, `chat`, `demo` do, without parsing and without printing."""
