"""What is done about one failed job, from a hint to a conclusion, and what time passing brings."""
