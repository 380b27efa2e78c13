"""One module per outside system; each translates vendor payloads into domain types on arrival."""
