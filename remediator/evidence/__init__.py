"""What is read about one failed job, side by side, within a time budget."""
