"""OpenTelemetry's spans into the log: the wire, the names of messaging, and what each span is."""
