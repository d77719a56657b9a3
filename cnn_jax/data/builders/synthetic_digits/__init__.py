"""Ten English words, spoken by two speech synthesizers."""
