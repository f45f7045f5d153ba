# ERROR: No rule
